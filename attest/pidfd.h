// A handle on the process at the other end of a socket: a pid is reused, a pidfd never.
// Thread: any.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "attest/proc.h"

namespace nodepilot {

// The process that connected `socket`, from the kernel (SO_PEERPIDFD, Linux 6.5). Only a kernel
// that does not know the option makes it look for `pid`, whose directory is `process`, instead.
expected<Fd> pidfd_of_peer(int socket, pid_t pid, const ProcDirectory& process);

// The process that has `pid` now. Refuses if the pid changed hands during the call, or if the peer
// of `socket` has closed it: then nothing says that `pid` is still the peer's.
expected<Fd> pidfd_by_number(int socket, pid_t pid, const ProcDirectory& process);

// The process that has `pid` now; a mere thread is none. kNotFound if there is none.
expected<Fd> open_pidfd(pid_t pid);

// Whether the process has not exited; a zombie has.
bool is_alive(int pidfd);

// The inode of a pidfd: of all processes that ever are, no two have the same (pidfs, Linux 6.9).
// Empty where the kernel gives all of them one.
std::optional<std::uint64_t> unique_inode(int pidfd);

// What the kernel tells of the process behind a pidfd at once, where it can (Linux 6.13, if no
// seccomp filter forbids it). It answers for a zombie, too.
struct PidfdInfo {
  uid_t uid = 0;  // effective
  gid_t gid = 0;  // effective
  // In the unified hierarchy: of all cgroups that ever were, no two have the same. 0: not told.
  std::uint64_t cgroup_id = 0;
};
std::optional<PidfdInfo> info_of(int pidfd);

}  // namespace nodepilot
