#include "attest/attest.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

using Answer = std::future<expected<Selectors>>;

// All at once, so that the slowest alone decides how long it takes: the first and those that are
// quick on this thread, the others beside it (or after it, if no thread can be had).
std::vector<Answer> ask_all(const Peer& peer, const Attestors& attestors) {
  std::vector<Answer> answers;
  for (const Attestor* attestor : attestors) {
    bool here = answers.empty() || attestor->is_quick();
    auto where = here ? std::launch::deferred : std::launch::async | std::launch::deferred;
    answers.push_back(std::async(where, [attestor, &peer] { return attestor->attest(peer); }));
  }
  return answers;
}

}  // namespace

expected<Selectors> attest(const Peer& peer, const Attestors& attestors) {
  auto answers = ask_all(peer, attestors);
  Selectors merged;
  std::size_t answered = 0;
  std::string failures;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    auto answer = answers[i].get();
    if (answer) {
      ++answered;
      merged.merge(*answer);
      continue;
    }
    const char* name = attestors[i]->name();
    failures += fmt::format("; {}: {}", name, answer.error().message);
    log::warn("attestor failed",
              {{"attestor", name}, {"pid", peer.pid()}, {"error", answer.error().message}});
  }
  // After all of them: what they found is about the peer only if it is still itself.
  TRY(peer.check());
  if (answered == 0) {
    return fail(Code::kUnavailable, fmt::format("attest process {}: no attestor gave an answer{}",
                                                peer.pid(), failures));
  }
  return merged;
}

bool all_quick(const Attestors& attestors) {
  return std::all_of(attestors.begin(), attestors.end(),
                     [](const Attestor* attestor) { return attestor->is_quick(); });
}

}  // namespace nodepilot
