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

// All at once, so that the slowest alone decides how long it takes: the first and those that are
// quick on this thread, the others beside it (or after it, if no thread can be had).
std::vector<Answer> ask_all(const Peer& peer, const Attestors& attestors) {
  std::vector<Answer> answers;
  for (const Attestor* attestor : attestors) {
    bool here = answers.empty() || attestor->is_quick();
    auto where = here ? std::launch::deferred : std::launch::async | std::launch::deferred;
    answers.push_back(std::async(where, [attestor, &peer] { return ask(*attestor, peer); }));
  }
  return answers;
}

// kUnavailable, with every reason, if nobody gave an answer.
expected<Selectors> merge(const Peer& peer, std::vector<Answer> answers,
                          std::vector<Finding>& findings) {
  Selectors merged;
  std::size_t answered = 0;
  std::string failures;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    Outcome outcome = answers[i].get();
    Finding& finding = findings[i];
    finding.took = outcome.took;
    if (outcome.found) {
      ++answered;
      finding.selectors = outcome.found->size();
      merged.merge(*outcome.found);
      continue;
    }
    const Error& failure = finding.failure.emplace(std::move(outcome.found).error());
    failures += fmt::format("; {}: {}", finding.attestor, failure.message);
    log::warn("attestor failed",
              {{"attestor", finding.attestor}, {"pid", peer.pid()}, {"error", failure.message}});
  }
  // After all of them: what they found is about the peer only if it is still itself.
  TRY(peer.check());
  if (answered == 0) {
    return fail(Code::kUnavailable, fmt::format("attest process {}: no attestor gave an answer{}",
                                                peer.pid(), failures));
  }
  return merged;
}

}  // namespace

Attestation attest(const Peer& peer, const Attestors& attestors) {
  std::vector<Finding> findings;
  findings.reserve(attestors.size());
  for (const Attestor* attestor : attestors) findings.push_back({.attestor = attestor->name()});
  auto selectors = merge(peer, ask_all(peer, attestors), findings);
  return {std::move(selectors), std::move(findings)};
}

bool all_quick(const Attestors& attestors) {
  return std::all_of(attestors.begin(), attestors.end(),
                     [](const Attestor* attestor) { return attestor->is_quick(); });
}

}  // namespace nodepilot
