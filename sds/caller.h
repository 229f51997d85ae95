// Finds out, for a call, who is calling. Shared by every API of the public socket.
#pragma once

#include <functional>
#include <memory>

#include "agent/base/workers.h"
#include "attest/attest.h"

namespace nodepilot {

// Thread: loop; attestors run on workers, unless all of them are quick.
class CallerIdentifier {
 public:
  // Both outlive it; the attestors also outlive every job given to `workers`.
  CallerIdentifier(Workers& workers, Attestors attestors);
  virtual ~CallerIdentifier() = default;

  // `done` runs on the loop with what attest() found. Nothing is cancelled: `done` must cope with
  // a call that is over. It runs before this returns if all attestors are quick.
  virtual void identify(std::shared_ptr<const Peer> peer, std::function<void(Attestation)> done);

 private:
  Workers& workers_;
  const Attestors attestors_;
  const bool quick_;
};

}  // namespace nodepilot
