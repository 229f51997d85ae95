#include "sds/rpc/socket_io.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace nodepilot {
namespace {

pid_t sender(msghdr& message) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_CREDENTIALS) continue;
    ucred credentials{};
    std::memcpy(&credentials, CMSG_DATA(part), sizeof credentials);
    return credentials.pid;
  }
  return 0;
}

bool may_pass() { return errno == EAGAIN || errno == EINTR; }

}  // namespace

Received receive(int socket, std::span<char> space) {
  iovec vector = {space.data(), space.size()};
  // Room for the sender's credentials and nothing else, so that the kernel keeps no descriptors.
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred))> control{};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t n = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n < 0 && may_pass()) return {};
  if (n <= 0) return {.bytes = {}, .gone = true};
  return {.bytes = {space.data(), static_cast<std::size_t>(n)}, .sender = sender(message)};
}

std::optional<std::size_t> send(int socket, const OutputQueue& output) {
  std::array<iovec, 64> vectors{};
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = output.gather(vectors);
  ssize_t n = -1;
  do {
    n = ::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  if (n >= 0) return static_cast<std::size_t>(n);
  if (errno == EAGAIN) return 0;
  return std::nullopt;
}

}  // namespace nodepilot
