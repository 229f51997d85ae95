#include "attest/pidfd.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "attest/proc.h"

// Older libc headers do not have it yet.
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

namespace nodepilot {
namespace {

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

expected<std::uint64_t> start_time_of(pid_t pid) {
  auto directory = TRY(ProcDirectory::open(pid));
  return directory.start_time();
}

}  // namespace

expected<Fd> pidfd_of_peer(int socket, pid_t pid) {
  int pidfd = -1;
  socklen_t size = sizeof pidfd;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0) return Fd(pidfd);
  // Any other error means a peer that is already gone, or one that must not be guessed at.
  if (errno == ENOPROTOOPT) return pidfd_by_number(socket, pid);
  return fail_errno("get the pidfd of the peer", errno);
}

expected<Fd> pidfd_by_number(int socket, pid_t pid) {
  auto before = TRY(start_time_of(pid));
  Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return fail_errno(fmt::format("pidfd_open {}", pid), errno);
  auto after = TRY(start_time_of(pid));
  if (before != after) {
    return fail(Code::kUnavailable, fmt::format("pid {} was given to another process", pid));
  }
  if ((events_of(socket, POLLIN) & (POLLHUP | POLLERR | POLLNVAL)) != 0) {
    return fail(Code::kUnavailable, "the peer has closed the connection");
  }
  return pidfd;
}

bool is_alive(int pidfd) { return events_of(pidfd, POLLIN) == 0; }

}  // namespace nodepilot
