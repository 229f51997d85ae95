// The process at the other end of a Unix socket, as the kernel knows it. Identity hangs on the
// pidfd taken from the socket: a pid is reused, a pidfd never.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "attest/procfs.h"

namespace nodepilot {

// What must not change while a peer is served: exec, setuid or a move to another cgroup makes it
// another workload.
struct ProcessFacts {
  uid_t uid = 0;                // effective
  gid_t gid = 0;                // effective
  FileId executable;            // all zero: it may not be looked at (no privilege)
  std::string cgroup;           // all of /proc/PID/cgroup
  std::uint64_t cgroup_id = 0;  // of the unified hierarchy; 0: the kernel does not tell

  friend bool operator==(const ProcessFacts&, const ProcessFacts&) = default;
};

// Immutable once made. Thread: any.
class Peer {
 public:
  // Identifies the peer of a connected Unix socket: SO_PEERCRED and SO_PEERPIDFD, or pidfd_open()
  // with a re-check where the kernel has no SO_PEERPIDFD (ENOPROTOOPT, and only then).
  // A peer without a usable pid or uid, or one that is already gone, is kUnavailable.
  static expected<std::shared_ptr<const Peer>> of_socket(int socket, const Procfs& procfs = {});
  // The process that has `pid` now, for an operator who asks about it: nobody is served as this.
  // kNotFound if there is none.
  static expected<std::shared_ptr<const Peer>> of_process(pid_t pid, const Procfs& procfs = {});

  pid_t pid() const { return pid_; }
  uid_t uid() const { return facts_.uid; }
  gid_t gid() const { return facts_.gid; }
  const ProcessFacts& facts() const { return facts_; }
  // What /proc tells of it. What was read is about this process only if check() passes afterwards.
  const ProcDirectory& directory() const { return directory_; }
  // Readable once the process has exited. Owned by this.
  int pidfd() const { return pidfd_.get(); }

  bool alive() const;

  // Whether it is still the process that connected: alive, same uid, executable and cgroup.
  // kUnavailable says what changed. Asks the kernel (a few microseconds, no disk).
  expected<void> check() const;

 private:
  Peer(pid_t pid, Fd pidfd, ProcDirectory directory)
      : pid_(pid), pidfd_(std::move(pidfd)), directory_(std::move(directory)) {}
  expected<void> look();
  // Which of the facts is no longer so; empty if all are.
  expected<std::string_view> changed() const;

  const pid_t pid_;
  const Fd pidfd_;
  const ProcDirectory directory_;
  ProcessFacts facts_;
  // Kept open where cgroup_id does not stand for all of facts_.cgroup.
  std::optional<CgroupFile> cgroup_file_;
};

}  // namespace nodepilot
