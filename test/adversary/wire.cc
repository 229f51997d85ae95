#include "test/adversary/wire.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <utility>

namespace nodepilot {
namespace {

using namespace std::string_view_literals;

constexpr int kData = 0;
constexpr int kHeaders = 1;
constexpr int kReset = 3;
constexpr int kSettings = 4;
constexpr int kGoAway = 7;
constexpr int kEndStream = 1;
constexpr int kEndHeaders = 4;
constexpr std::size_t kFrameHead = 9;
constexpr std::size_t kMessagePrefix = 5;
constexpr std::string_view kScheme = "spiffe://";

std::string frame_of(int type, int flags, int stream, std::string_view payload) {
  std::string bytes;
  for (int shift : {16, 8, 0}) bytes += static_cast<char>(payload.size() >> shift);
  bytes += static_cast<char>(type);
  bytes += static_cast<char>(flags);
  for (int shift : {24, 16, 8, 0}) bytes += static_cast<char>(stream >> shift);
  return bytes.append(payload);
}

std::string literal(std::string_view text) {
  return std::string(1, static_cast<char>(text.size())).append(text);
}

std::size_t number(std::string_view bytes) {
  std::size_t value = 0;
  for (char byte : bytes) value = value << 8 | static_cast<std::uint8_t>(byte);
  return value;
}

}  // namespace

const std::string& call_bytes() {
  static const std::string bytes = [] {
    std::string headers;
    for (auto [name, value] : {std::pair{":method"sv, "POST"sv},
                               {":scheme"sv, "http"sv},
                               {":path"sv, "/SpiffeWorkloadAPI/FetchX509SVID"sv},
                               {":authority"sv, "localhost"sv},
                               {"content-type"sv, "application/grpc"sv},
                               {"te"sv, "trailers"sv},
                               {"workload.spiffe.io"sv, "true"sv}}) {
      headers.append(1, '\0').append(literal(name)).append(literal(value));
    }
    return "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame_of(kSettings, 0, 0, {}) +
           frame_of(kHeaders, kEndHeaders, 1, headers) +
           frame_of(kData, kEndStream, 1, "\0\0\0\0\0"sv);
  }();
  return bytes;
}

bool Answer::feed(std::string_view bytes) {
  unread_ += bytes;
  while (!decided_ && unread_.size() >= kFrameHead) {
    std::string_view all = unread_;
    std::size_t size = kFrameHead + number(all.substr(0, 3));
    if (all.size() < size) break;
    frame(all[3], all[4], all.substr(kFrameHead, size - kFrameHead));
    unread_.erase(0, size);
  }
  return decided_;
}

void Answer::end() {
  if (decided_) return;
  messages_ += unread_;
  look_for_identities();
  outcome_ = granted_.empty() ? Outcome::kClosed : Outcome::kGranted;
  decided_ = true;
}

void Answer::frame(int type, int flags, std::string_view payload) {
  if (type == kReset || type == kGoAway) return end();
  if (type == kData) {
    messages_ += payload;
    if (messages_.size() < kMessagePrefix) return;
    std::size_t size = kMessagePrefix + number(std::string_view(messages_).substr(1, 4));
    if (messages_.size() < size) return;
    look_for_identities();
    outcome_ = Outcome::kGranted;
    decided_ = true;
  } else if (type == kHeaders && (flags & kEndStream) != 0) {
    end();
    if (granted_.empty()) outcome_ = Outcome::kRefused;
  }
}

// Each stands twice: as a field of the message, which a control byte follows, and then in its
// certificate, where a printable one may follow. The roots have no path.
void Answer::look_for_identities() {
  const std::string_view all = messages_;
  for (std::size_t at = 0; (at = all.find(kScheme, at)) != std::string_view::npos; ++at) {
    std::size_t stop = at;
    while (stop < all.size() && all[stop] > ' ' && all[stop] < '\x7f') ++stop;
    std::string_view id = all.substr(at + kScheme.size(), stop - at - kScheme.size());
    std::size_t slash = id.find('/');
    if (slash == std::string_view::npos) continue;
    std::string_view name = id.substr(slash + 1);
    bool known = std::any_of(granted_.begin(), granted_.end(),
                             [&](const std::string& one) { return name.starts_with(one); });
    if (!known) granted_.emplace(name);
  }
}

Answer read_answer(int socket, int milliseconds) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::milliseconds(milliseconds);
  Answer answer;
  std::array<char, std::size_t{16} * 1024> space;
  while (true) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd ready{.fd = socket, .events = POLLIN, .revents = 0};
    if (left <= 0 || ::poll(&ready, 1, static_cast<int>(left)) == 0) return answer;
    ssize_t n = ::recv(socket, space.data(), space.size(), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n <= 0) {
      answer.end();
      return answer;
    }
    if (answer.feed({space.data(), static_cast<std::size_t>(n)})) return answer;
  }
}

}  // namespace nodepilot
