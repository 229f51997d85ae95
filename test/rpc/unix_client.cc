#include "test/rpc/unix_client.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <stdexcept>

namespace nodepilot {

UnixClient::UnixClient(const std::filesystem::path& path)
    : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.native().copy(address.sun_path, sizeof address.sun_path - 1);
  if (::connect(fd(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error("cannot connect to " + path.string());
  }
}

void UnixClient::pump() {
  if (!socket_) return;
  while (!out_.empty()) {
    ssize_t n = ::send(fd(), out_.data(), out_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN) out_.clear();  // closed: recv() below finds out
    if (n <= 0) break;
    out_.erase(0, static_cast<std::size_t>(n));
  }
  while (reads_ && !closed_) {
    std::array<char, 65536> buffer{};
    ssize_t n = ::recv(fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) break;
    if (n <= 0) {
      closed_ = true;
      break;
    }
    in_.append(buffer.data(), static_cast<std::size_t>(n));
  }
}

std::string frame(FrameType type, char flags, int stream, std::string_view payload) {
  auto byte = [](std::size_t value, int shift) { return static_cast<char>(value >> shift & 0xff); };
  auto id = static_cast<std::size_t>(stream);
  std::string bytes = {byte(payload.size(), 16),
                       byte(payload.size(), 8),
                       byte(payload.size(), 0),
                       type,
                       flags,
                       byte(id, 24),
                       byte(id, 16),
                       byte(id, 8),
                       byte(id, 0)};
  return bytes.append(payload);
}

std::string greeting() { return std::string(kPreface) + frame(kSettings, 0, 0); }

std::string literal(std::string_view name, std::string_view value) {
  auto text = [](std::string_view bytes) {
    std::string out;
    if (bytes.size() < 127) {
      out += static_cast<char>(bytes.size());
    } else {
      out += '\x7f';
      std::size_t rest = bytes.size() - 127;
      for (; rest >= 128; rest /= 128) out += static_cast<char>(rest % 128 + 128);
      out += static_cast<char>(rest);
    }
    return out.append(bytes);
  };
  return std::string(1, '\0') + text(name) + text(value);
}

std::string call_headers(std::string_view path) {
  return literal(":method", "POST") + literal(":scheme", "http") + literal(":path", path) +
         literal(":authority", "localhost") + literal("te", "trailers") +
         literal("content-type", "application/grpc");
}

}  // namespace nodepilot
