// The `systemd` attestor: SPIRE's selectors, from systemd over the system bus.
//   id:UNIT fragment_path:P
#pragma once

#include "agent/base/time.h"
#include "attest/attestor.h"

namespace nodepilot {

// systemd finds the unit by the cgroups that it made itself. A process in a cgroup with a unit's
// name that a user made, below one delegated to him, counts for the unit that was delegated.
class SystemdAttestor : public Attestor {
 public:
  // `timeout` bounds all of what one answer takes.
  explicit SystemdAttestor(Duration timeout = std::chrono::seconds(2)) : timeout_(timeout) {}

  const char* name() const override { return "systemd"; }

  // A process of no unit has no selectors; a unit without a file has no fragment_path. It asks by
  // pid: as attest() sees afterwards that the peer still lives, the pid was the peer's.
  // kUnavailable without a system bus or outside of its pid namespace, kDeadlineExceeded if it took
  // too long, kInternal if systemd refuses.
  expected<Selectors> attest(const Peer& peer) const override;

 private:
  const Duration timeout_;
};

}  // namespace nodepilot
