#include "sds/rpc/listening_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <string>
#include <string_view>

namespace nodepilot {
namespace {

namespace fs = std::filesystem;

int option(const Fd& socket, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  return ::getsockopt(socket.get(), SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

sockaddr* generic(sockaddr_un& address) {
  return reinterpret_cast<sockaddr*>(&address);  // NOLINT: the sockets API
}

// Empty if it has none, or one of the abstract ones.
std::string bound_path(const Fd& socket) {
  sockaddr_un address{};
  socklen_t size = sizeof address;
  if (::getsockname(socket.get(), generic(address), &size) != 0) return {};
  std::string_view path(address.sun_path, size - offsetof(sockaddr_un, sun_path));
  return std::string(path.substr(0, path.find('\0')));
}

}  // namespace

expected<Fd> listen_at(const fs::path& path, mode_t mode) {
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno("make a socket", errno);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.native().copy(address.sun_path, sizeof address.sun_path - 1);
  if (::bind(socket.get(), generic(address), sizeof address) != 0) {
    return fail_errno("bind " + path.string(), errno);
  }
  TRY(adapt_listening(socket));
  if (::chmod(path.c_str(), mode) != 0) return fail_errno("chmod " + path.string(), errno);
  if (::listen(socket.get(), SOMAXCONN) != 0) return fail_errno("listen", errno);
  return socket;
}

expected<void> check_listens_at(const Fd& socket, const fs::path& path) {
  auto refuse = [&](const std::string& what) {
    return fail(Code::kFailedPrecondition,
                "the socket that was passed for " + path.string() + " " + what);
  };
  if (option(socket, SO_DOMAIN) != AF_UNIX) return refuse("is no Unix socket");
  if (option(socket, SO_TYPE) != SOCK_STREAM) return refuse("is no stream socket");
  if (option(socket, SO_ACCEPTCONN) != 1) return refuse("does not listen");
  std::string bound = bound_path(socket);
  if (bound == path.native()) return {};
  return refuse("is bound " + (bound.empty() ? "nowhere" : "at " + bound));
}

expected<bool> adapt_listening(const Fd& socket) {
  int flags = ::fcntl(socket.get(), F_GETFL);
  if (flags < 0 || ::fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK) != 0 ||
      ::fcntl(socket.get(), F_SETFD, FD_CLOEXEC) != 0) {
    return fail_errno("set the socket's flags", errno);
  }
  bool told = option(socket, SO_PASSCRED) == 1;
  int on = 1;
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) {
    return fail_errno("set SO_PASSCRED", errno);
  }
  return told;
}

}  // namespace nodepilot
