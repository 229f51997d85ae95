#include "sds/caller.h"

#include <algorithm>
#include <utility>

namespace nodepilot {

CallerIdentifier::CallerIdentifier(Clock& clock, Workers& workers, Attestors attestors)
    : clock_(clock),
      workers_(workers),
      attestors_(std::move(attestors)),
      quick_(all_quick(attestors_)),
      // An alarm set before the clock was set back would be late.
      clock_steps_(clock.on_step([this] { ask_all_again(); })),
      self_(std::make_shared<CallerIdentifier*>(this)) {}

void CallerIdentifier::identify(const PeerPtr& peer, std::weak_ptr<const void> interest,
                                Done done) {
  Asker asker{std::move(interest), std::move(done)};
  if (auto waiting = waiting_.find(peer); waiting != waiting_.end()) {
    waiting->second.askers.push_back(std::move(asker));
  } else {
    ask(peer, {std::move(asker)});
  }
}

void CallerIdentifier::ask(const PeerPtr& peer, Askers askers) {
  if (quick_) return hear(peer, std::move(askers), attest(*peer, attestors_));
  workers_.run(
      [attestors = attestors_, peer] { return attest(*peer, attestors); },
      [weak = std::weak_ptr(self_), peer, askers = std::move(askers)](const Attestation& found) {
        if (auto self = weak.lock()) (*self)->hear(peer, askers, found);
      });
}

void CallerIdentifier::hear(const PeerPtr& peer, Askers askers, const Attestation& found) {
  for (const Finding& finding : found.findings) {
    AttestorCounts& counts = counts_[finding.attestor];
    ++(finding.failure ? counts.failed : counts.succeeded);
    counts.took.add(finding.took);
  }
  const auto& selectors = found.selectors;
  if (!selectors && selectors.error().retry_after) {
    return wait(peer, std::move(askers), *selectors.error().retry_after);
  }
  for (const Asker& asker : askers) asker.done(found);
}

void CallerIdentifier::wait(const PeerPtr& peer, Askers askers, Duration pause) {
  std::erase_if(askers, [](const Asker& asker) { return asker.interest.expired(); });
  if (askers.empty()) return;
  Waiting& waiting = waiting_[peer];
  std::move(askers.begin(), askers.end(), std::back_inserter(waiting.askers));
  if (!waiting.again) {
    waiting.again = std::make_unique<Alarm>(clock_, [this, peer] { ask_again(peer); });
  }
  waiting.again->set(clock_.now() + pause);
}

void CallerIdentifier::ask_again(const PeerPtr& peer) {
  auto waiting = waiting_.extract(peer);
  if (!waiting) return;
  ask(peer, std::move(waiting.mapped().askers));
}

void CallerIdentifier::ask_all_again() {
  std::vector<PeerPtr> peers;
  for (const auto& [peer, waiting] : waiting_) peers.push_back(peer);
  for (const PeerPtr& peer : peers) ask_again(peer);
}

}  // namespace nodepilot
