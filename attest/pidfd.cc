#include "attest/pidfd.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

// Older libc headers do not have it yet.
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

namespace nodepilot {
namespace {

// struct pidfd_info of linux/pidfd.h in its first version.
struct RawInfo {
  std::uint64_t mask;
  std::uint64_t cgroup_id;
  std::uint32_t pid, tgid, ppid;
  std::uint32_t real_uid, real_gid, effective_uid, effective_gid;
  std::uint32_t saved_uid, saved_gid, fs_uid, fs_gid;
  std::int32_t exit_code;
};
static_assert(sizeof(RawInfo) == 64);
constexpr unsigned long kGetInfo = _IOWR(0xFF, 11, RawInfo);  // PIDFD_GET_INFO
constexpr std::uint64_t kCredentials = 2;
constexpr std::uint64_t kCgroupId = 4;

constexpr std::int64_t kPidFsMagic = 0x50494446;  // PID_FS_MAGIC of linux/magic.h

// What has happened to `fd` so far.
short events_of(int fd, short wanted) {
  if (fd < 0) return POLLNVAL;  // poll() would pass over it and say that nothing happened
  pollfd entry{fd, wanted, 0};
  int n = 0;
  do {
    n = ::poll(&entry, 1, 0);
  } while (n < 0 && errno == EINTR);
  return n < 0 ? static_cast<short>(POLLERR) : entry.revents;
}

}  // namespace

expected<Fd> pidfd_of_peer(int socket, pid_t pid, const ProcDirectory& process) {
  int pidfd = -1;
  socklen_t size = sizeof pidfd;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0) return Fd(pidfd);
  // Any other error means a peer that is already gone, or one that must not be guessed at.
  if (errno == ENOPROTOOPT) return pidfd_by_number(socket, pid, process);
  return fail_errno("get the pidfd of the peer", errno);
}

expected<Fd> pidfd_by_number(int socket, pid_t pid, const ProcDirectory& process) {
  auto before = TRY(process.start_time());
  Fd pidfd = TRY(open_pidfd(pid));
  auto after = TRY(process.start_time());
  if (before != after) {
    return fail(Code::kUnavailable, fmt::format("pid {} was given to another process", pid));
  }
  if ((events_of(socket, POLLIN) & (POLLHUP | POLLERR | POLLNVAL)) != 0) {
    return fail(Code::kUnavailable, "the peer has closed the connection");
  }
  return pidfd;
}

expected<Fd> open_pidfd(pid_t pid) {
  Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return fail_errno(fmt::format("pidfd_open {}", pid), errno);
  return pidfd;
}

bool is_alive(int pidfd) { return events_of(pidfd, POLLIN) == 0; }

std::optional<std::uint64_t> unique_inode(int pidfd) {
  struct statfs system {};
  struct stat status {};
  bool is_pidfs = ::fstatfs(pidfd, &system) == 0 && system.f_type == kPidFsMagic;
  if (!is_pidfs || ::fstat(pidfd, &status) != 0) return std::nullopt;
  return status.st_ino;
}

std::optional<PidfdInfo> info_of(int pidfd) {
  RawInfo raw{};
  raw.mask = kCredentials | kCgroupId;
  if (::ioctl(pidfd, kGetInfo, &raw) != 0 || (raw.mask & kCredentials) == 0) return std::nullopt;
  std::uint64_t cgroup_id = (raw.mask & kCgroupId) != 0 ? raw.cgroup_id : 0;
  return PidfdInfo{raw.effective_uid, raw.effective_gid, cgroup_id};
}

}  // namespace nodepilot
