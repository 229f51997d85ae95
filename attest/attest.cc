#include "attest/attest.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

using Answer = std::future<expected<Selectors>>;

// All at once, so that the slowest alone decides how long it takes: the first on this thread, the
// others beside it (or after it, if no thread can be had).
std::vector<Answer> ask_all(const Peer& peer, const Attestors& attestors) {
  std::vector<Answer> answers;
  for (const Attestor* attestor : attestors) {
    auto where =
        answers.empty() ? std::launch::deferred : std::launch::async | std::launch::deferred;
    answers.push_back(std::async(where, [attestor, &peer] { return attestor->attest(peer); }));
  }
  return answers;
}

class Findings {
 public:
  explicit Findings(const Peer& peer) : peer_(peer) {}

  void add(const Attestor& attestor, expected<Selectors> answer) {
    if (answer) {
      ++answered_;
      attested_.selectors.merge(*answer);
    } else if (answer.error().retry_after) {
      bool is_sooner = !pending_ || *answer.error().retry_after < *pending_->retry_after;
      if (is_sooner) pending_ = std::move(answer).error();
    } else {
      attested_.complete = false;
      failures_ += fmt::format("; {}: {}", attestor.name(), answer.error().message);
      log::warn(
          "attestor failed",
          {{"attestor", attestor.name()}, {"pid", peer_.pid()}, {"error", answer.error().message}});
    }
  }
  bool pending() const { return pending_.has_value(); }

  expected<Attested> take() {
    if (pending_) return tl::unexpected<Error>(*std::move(pending_));
    if (answered_ > 0) return std::move(attested_);
    return fail(Code::kUnavailable, fmt::format("attest process {}: no attestor gave an answer{}",
                                                peer_.pid(), failures_));
  }

 private:
  const Peer& peer_;
  Attested attested_;
  std::size_t answered_ = 0;
  std::string failures_;
  std::optional<Error> pending_;
};

}  // namespace

expected<Attested> attest(const Peer& peer, const Attestors& attestors) {
  Findings findings(peer);
  Attestors slow;
  for (const Attestor* attestor : attestors) {
    if (!attestor->is_quick()) {
      slow.push_back(attestor);
    } else {
      findings.add(*attestor, attestor->attest(peer));
    }
  }
  // Who has to come again anyway need not keep a disk or another process busy.
  if (!findings.pending()) {
    auto answers = ask_all(peer, slow);
    for (std::size_t i = 0; i < answers.size(); ++i) findings.add(*slow[i], answers[i].get());
  }
  // After all of them: what they found is about the peer only if it is still itself.
  TRY(peer.check());
  return findings.take();
}

bool all_quick(const Attestors& attestors) {
  return std::all_of(attestors.begin(), attestors.end(),
                     [](const Attestor* attestor) { return attestor->is_quick(); });
}

}  // namespace nodepilot
