// One way of finding out facts about a caller.
#pragma once

#include "agent/base/selector.h"
#include "attest/peer.h"

namespace nodepilot {

// Thread: worker, or loop if it is quick. Implementations block at most for their own deadline and
// share no mutable state.
class Attestor {
 public:
  virtual ~Attestor() = default;

  // "unix": the type of the selectors it yields.
  virtual const char* name() const = 0;

  // Whether attest() never waits, for no disk, no network and no other process, and takes tens of
  // microseconds. The hop to a worker and back, which would cost more, is then spared.
  virtual bool is_quick() const { return false; }

  // Facts true of `peer`. It may exit meanwhile: attest() checks afterwards. An error with
  // retry_after is no failure: the answer is to be had by asking again then, and an attestor that
  // says so sees to it that this has an end.
  virtual expected<Selectors> attest(const Peer& peer) const = 0;
};

}  // namespace nodepilot
