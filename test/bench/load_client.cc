#include "test/bench/load_client.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

namespace nodepilot {
namespace {

// For all connections: only one reads at a time.
std::array<char, std::size_t{64} * 1024> input;

std::string framed(std::string_view message) {
  std::string bytes(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(message.size() >> shift);
  return bytes.append(message);
}

nghttp2_nv field(const std::string& name, const std::string& value) {
  auto bytes = [](const std::string& text) {
    return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));  // it only reads
  };
  return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

}  // namespace

struct LoadClient::Callbacks {
  static LoadClient& self(void* user) { return *static_cast<LoadClient*>(user); }

  static int header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                    std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                    std::uint8_t, void* user) {
    std::string_view key(reinterpret_cast<const char*>(name), name_size);
    if (key != "grpc-status") return 0;
    auto call = self(user).calls_.find(frame->hd.stream_id);
    if (call == self(user).calls_.end()) return 0;
    std::string text(reinterpret_cast<const char*>(value), value_size);
    call->second.status = std::atoi(text.c_str());
    return 0;
  }

  static int data(nghttp2_session*, std::uint8_t, std::int32_t stream, const std::uint8_t* bytes,
                  std::size_t size, void* user) {
    auto call = self(user).calls_.find(stream);
    if (call == self(user).calls_.end()) return 0;
    self(user).receive(stream, call->second, {reinterpret_cast<const char*>(bytes), size});
    return 0;
  }

  static int closed(nghttp2_session*, std::int32_t stream, std::uint32_t, void* user) {
    auto call = self(user).calls_.find(stream);
    if (call == self(user).calls_.end()) return 0;
    ++self(user).statuses_[call->second.status];
    self(user).calls_.erase(call);
    return 0;
  }

  static ssize_t upload(nghttp2_session*, std::int32_t stream, std::uint8_t* space, std::size_t max,
                        std::uint32_t* flags, nghttp2_data_source*, void* user) {
    Call& call = self(user).calls_.at(stream);
    std::size_t n = std::min(max, call.out.size());
    call.idle = n == 0 && call.request.answer != nullptr;
    if (call.idle) return NGHTTP2_ERR_DEFERRED;
    std::copy_n(call.out.begin(), n, space);
    call.out.erase(0, n);
    if (call.out.empty() && call.request.answer == nullptr) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(n);
  }
};

std::unique_ptr<LoadClient> LoadClient::connect(const std::string& path) {
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (::connect(socket.get(), generic, sizeof address) != 0) return nullptr;
  return std::unique_ptr<LoadClient>(new LoadClient(std::move(socket)));
}

LoadClient::LoadClient(Fd socket) : socket_(std::move(socket)) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, Callbacks::header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Callbacks::data);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Callbacks::closed);
  nghttp2_session* session = nullptr;
  nghttp2_session_client_new(&session, callbacks, this);
  session_.reset(session);
  nghttp2_session_callbacks_del(callbacks);
  nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, nullptr, 0);
}

LoadClient::~LoadClient() = default;

void LoadClient::call(const Request& request) {
  const std::vector<std::pair<std::string, std::string>> common = {
      {":method", "POST"},         {":scheme", "http"}, {":path", request.path},
      {":authority", "localhost"}, {"te", "trailers"},  {"content-type", "application/grpc"}};
  std::vector<nghttp2_nv> fields;
  for (const auto& [name, value] : common) fields.push_back(field(name, value));
  for (const auto& [name, value] : request.headers) fields.push_back(field(name, value));
  nghttp2_data_provider body{};
  body.read_callback = Callbacks::upload;
  std::int32_t stream =
      nghttp2_submit_request(session_.get(), nullptr, fields.data(), fields.size(), &body, nullptr);
  calls_.emplace(stream, request).first->second.out = framed(request.message);
}

void LoadClient::cancel() {
  for (const auto& [stream, call] : calls_) {
    nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, stream, NGHTTP2_CANCEL);
  }
}

void LoadClient::receive(std::int32_t stream, Call& call, std::string_view bytes) {
  while (!bytes.empty()) {
    if (call.prefix_size < call.prefix.size()) {
      call.prefix[call.prefix_size++] = static_cast<std::uint8_t>(bytes.front());
      bytes.remove_prefix(1);
      if (call.prefix_size < call.prefix.size()) continue;
      call.left = 0;
      for (std::size_t i = 1; i < 5; ++i) call.left = call.left << 8 | call.prefix[i];
    }
    std::size_t taken = std::min(call.left, bytes.size());
    if (call.request.answer != nullptr) call.text.append(bytes.substr(0, taken));
    bytes.remove_prefix(taken);
    call.left -= taken;
    if (call.left > 0) continue;
    call.prefix_size = 0;
    ++messages_;
    if (call.request.answer == nullptr) continue;
    call.out += framed(call.request.answer(std::exchange(call.text, {})));
    if (call.idle) nghttp2_session_resume_data(session_.get(), stream);
  }
}

bool LoadClient::flush() {
  const std::uint8_t* bytes = nullptr;
  for (ssize_t n = 0; (n = nghttp2_session_mem_send(session_.get(), &bytes)) > 0;) {
    unsent_.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(n));
  }
  if (unsent_.empty()) return true;
  ssize_t n = ::send(fd(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n < 0) return errno == EAGAIN;
  unsent_.erase(0, static_cast<std::size_t>(n));
  return true;
}

bool LoadClient::pump() {
  if (!flush()) return false;
  ssize_t n = ::recv(fd(), input.data(), input.size(), MSG_DONTWAIT);
  if (n < 0) return errno == EAGAIN;
  if (n == 0) return false;
  nghttp2_session_mem_recv(session_.get(), reinterpret_cast<const std::uint8_t*>(input.data()),
                           static_cast<std::size_t>(n));
  return flush();
}

}  // namespace nodepilot
