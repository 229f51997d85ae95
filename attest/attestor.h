// One way of finding out facts about a caller.
#pragma once

#include "agent/base/selector.h"
#include "attest/peer.h"

namespace nodepilot {

// Thread: worker. Implementations block at most for their own deadline and share no mutable state.
class Attestor {
 public:
  virtual ~Attestor() = default;

  // "unix": the type of the selectors it yields.
  virtual const char* name() const = 0;

  // Facts true of `peer`. It may exit meanwhile: attest() checks afterwards.
  virtual expected<Selectors> attest(const Peer& peer) const = 0;
};

}  // namespace nodepilot
