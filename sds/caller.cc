#include "sds/caller.h"

#include <utility>

namespace nodepilot {

CallerIdentifier::CallerIdentifier(Workers& workers, Attestors attestors)
    : workers_(workers), attestors_(std::move(attestors)), quick_(all_quick(attestors_)) {}

void CallerIdentifier::identify(std::shared_ptr<const Peer> peer,
                                std::function<void(Attestation)> done) {
  if (quick_) return done(attest(*peer, attestors_));
  workers_.run(
      [attestors = attestors_, peer = std::move(peer)] { return attest(*peer, attestors); },
      std::move(done));
}

}  // namespace nodepilot
