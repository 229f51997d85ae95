// Peers that are one process are looked at once.
#pragma once

#include <memory>
#include <vector>

#include "attest/peer.h"

namespace nodepilot {

// Lives for a moment, such as one turn of the loop: what it has seen, it does not look at again.
// Thread: one.
class PeerLooks {
 public:
  // peer.check(), but if another peer that is the same process has passed before, it is only asked
  // whether this one lives. Keeps `peer`.
  expected<void> check(const std::shared_ptr<const Peer>& peer);

 private:
  std::vector<std::shared_ptr<const Peer>> passed_;  // one of each process
};

}  // namespace nodepilot
