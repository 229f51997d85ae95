#include "attest/attest.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

struct Outcome {
  expected<Selectors> found;
  std::chrono::microseconds took;
};
using Answer = std::future<Outcome>;

Outcome ask(const Attestor& attestor, const Peer& peer) {
  auto start = std::chrono::steady_clock::now();
  auto found = attestor.attest(peer);
  auto took = std::chrono::steady_clock::now() - start;
  return {std::move(found), std::chrono::duration_cast<std::chrono::microseconds>(took)};
}

// All at once, so that the slowest alone decides how long it takes: the first on this thread, the
// others beside it (or after it, if no thread can be had).
std::vector<Answer> ask_all(const Peer& peer, const Attestors& attestors) {
  std::vector<Answer> answers;
  for (const Attestor* attestor : attestors) {
    auto where =
        answers.empty() ? std::launch::deferred : std::launch::async | std::launch::deferred;
    answers.push_back(std::async(where, [attestor, &peer] { return ask(*attestor, peer); }));
  }
  return answers;
}

// Puts together what comes in.
class Merger {
 public:
  Merger(const Peer& peer, std::vector<Finding>& findings) : peer_(peer), findings_(findings) {}

  void add(std::size_t attestor, Outcome outcome) {
    Finding& finding = findings_[attestor];
    finding.took = outcome.took;
    if (outcome.found) {
      finding.selectors = outcome.found->size();
      merged_.merge(*outcome.found);
      ++answered_;
      return;
    }
    finding.failure = std::move(outcome.found).error();
    if (finding.failure->retry_after) {
      bool is_sooner = !pending_ || *finding.failure->retry_after < *pending_->retry_after;
      if (is_sooner) pending_ = finding.failure;
      return;
    }
    log::warn("attestor failed", {{"attestor", finding.attestor},
                                  {"pid", peer_.pid()},
                                  {"error", finding.failure->message}});
  }
  bool is_pending() const { return pending_.has_value(); }

  expected<Selectors> take() {
    // After all of them: what they found is about the peer only if it is still itself.
    TRY(peer_.check());
    if (pending_) return tl::unexpected<Error>(*std::move(pending_));
    if (answered_ > 0) return std::move(merged_);
    std::string failures;
    for (const Finding& finding : findings_) {
      if (finding.failure) {
        failures += fmt::format("; {}: {}", finding.attestor, finding.failure->message);
      }
    }
    return fail(Code::kUnavailable, fmt::format("attest process {}: no attestor gave an answer{}",
                                                peer_.pid(), failures));
  }

 private:
  const Peer& peer_;
  std::vector<Finding>& findings_;
  Selectors merged_;
  std::size_t answered_ = 0;
  std::optional<Error> pending_;
};

}  // namespace

bool Attestation::complete() const {
  return std::none_of(findings.begin(), findings.end(),
                      [](const Finding& finding) { return finding.failure.has_value(); });
}

Attestation attest(const Peer& peer, const Attestors& attestors) {
  std::vector<Finding> findings;
  findings.reserve(attestors.size());
  for (const Attestor* attestor : attestors) findings.push_back({.attestor = attestor->name()});
  Merger merger(peer, findings);
  Attestors slow;
  std::vector<std::size_t> places;  // of those among all
  for (std::size_t i = 0; i < attestors.size(); ++i) {
    if (attestors[i]->is_quick()) {
      merger.add(i, ask(*attestors[i], peer));
    } else {
      slow.push_back(attestors[i]);
      places.push_back(i);
    }
  }
  // Who has to come again anyway need not keep a disk or another process busy.
  if (!merger.is_pending()) {
    auto answers = ask_all(peer, slow);
    for (std::size_t i = 0; i < answers.size(); ++i) merger.add(places[i], answers[i].get());
  }
  auto selectors = merger.take();
  return {std::move(selectors), std::move(findings)};
}

bool all_quick(const Attestors& attestors) {
  return std::all_of(attestors.begin(), attestors.end(),
                     [](const Attestor* attestor) { return attestor->is_quick(); });
}

}  // namespace nodepilot
