#include "test/rpc/h2_client.h"

#include <algorithm>

namespace nodepilot {
namespace {

std::string text(const std::uint8_t* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

// Moves whole messages from `partial` to `messages`.
void split(H2Client::Call& call) {
  while (call.partial.size() >= 5) {
    std::size_t length = 0;
    for (int i = 1; i < 5; ++i) {
      length = length << 8 | static_cast<unsigned char>(call.partial[static_cast<std::size_t>(i)]);
    }
    if (call.partial.size() < 5 + length) return;
    call.messages.push_back(call.partial.substr(5, length));
    call.partial.erase(0, 5 + length);
  }
}

}  // namespace

std::string framed(std::string_view message, char flags) {
  std::string bytes = {flags};
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(message.size() >> shift);
  return bytes.append(message);
}

int H2Client::Call::status() const {
  auto found = trailers.find("grpc-status");
  return found == trailers.end() ? -1 : std::stoi(found->second);
}

std::string H2Client::Call::message() const {
  auto found = trailers.find("grpc-message");
  return found == trailers.end() ? "" : found->second;
}

struct H2Client::Callbacks {
  static H2Client& self(void* user) { return *static_cast<H2Client*>(user); }

  static int header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                    std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                    std::uint8_t, void* user) {
    Call& call = self(user).calls_[frame->hd.stream_id];
    bool only = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->headers.cat == NGHTTP2_HCAT_RESPONSE) {
      call.headers[text(name, name_size)] = text(value, value_size);
    }
    if (frame->headers.cat != NGHTTP2_HCAT_RESPONSE || only) {
      call.trailers[text(name, name_size)] = text(value, value_size);
    }
    return 0;
  }

  static int data(nghttp2_session*, std::uint8_t, std::int32_t stream, const std::uint8_t* bytes,
                  std::size_t size, void* user) {
    Call& call = self(user).calls_[stream];
    call.partial += text(bytes, size);
    split(call);
    return 0;
  }

  static int received(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    H2Client& client = self(user);
    if (frame->hd.type == NGHTTP2_DATA) ++client.calls_[frame->hd.stream_id].data_frames;
    if (frame->hd.type == NGHTTP2_GOAWAY) client.goaway_ = frame->goaway.error_code;
    if (frame->hd.type == NGHTTP2_PING) ++client.pongs_;
    return 0;
  }

  static int closed(nghttp2_session*, std::int32_t stream, std::uint32_t error, void* user) {
    Call& call = self(user).calls_[stream];
    call.closed = true;
    call.error = error;
    return 0;
  }

  static ssize_t upload(nghttp2_session*, std::int32_t stream, std::uint8_t* space, std::size_t max,
                        std::uint32_t* flags, nghttp2_data_source*, void* user) {
    Upload& upload = self(user).uploads_[stream];
    std::size_t n = std::min(max, upload.bytes.size());
    if (n == 0 && !upload.end) {
      upload.idle = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    std::copy_n(upload.bytes.begin(), n, space);
    upload.bytes.erase(0, n);
    if (upload.bytes.empty() && upload.end) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(n);
  }
};

H2Client::H2Client(const std::filesystem::path& path, Options options) : socket_(path) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, Callbacks::header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Callbacks::data);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Callbacks::received);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Callbacks::closed);
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, options.opens_window ? 0 : 1);
  nghttp2_option_set_peer_max_concurrent_streams(option, 1000000);
  nghttp2_session* session = nullptr;
  nghttp2_session_client_new2(&session, callbacks, this, option);
  session_.reset(session);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  nghttp2_settings_entry window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options.window};
  nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, &window, 1);
}

std::int32_t H2Client::start(const std::string& path, const Headers& headers) {
  Headers all = {{":method", "POST"}, {":scheme", "http"},
                 {":path", path},     {":authority", "localhost"},
                 {"te", "trailers"},  {"content-type", "application/grpc"}};
  for (const auto& [name, value] : headers) {
    auto same = [&name = name](const auto& field) { return field.first == name; };
    auto found = std::find_if(all.begin(), all.end(), same);
    if (found == all.end()) {
      all.emplace_back(name, value);
    } else {
      found->second = value;
    }
  }
  std::vector<nghttp2_nv> fields;
  for (auto& [name, value] : all) {
    fields.push_back({reinterpret_cast<std::uint8_t*>(name.data()),
                      reinterpret_cast<std::uint8_t*>(value.data()), name.size(), value.size(),
                      NGHTTP2_NV_FLAG_NONE});
  }
  nghttp2_data_provider body{};
  body.read_callback = Callbacks::upload;
  return nghttp2_submit_request(session_.get(), nullptr, fields.data(), fields.size(), &body,
                                nullptr);
}

void H2Client::send(std::int32_t stream, std::string_view bytes, bool end) {
  Upload& upload = uploads_[stream];
  upload.bytes += bytes;
  upload.end = end;
  if (std::exchange(upload.idle, false)) nghttp2_session_resume_data(session_.get(), stream);
}

std::int32_t H2Client::call(const std::string& path, std::string_view message,
                            const Headers& headers) {
  std::int32_t stream = start(path, headers);
  send(stream, framed(message), true);
  return stream;
}

void H2Client::cancel(std::int32_t stream) {
  nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, stream, NGHTTP2_CANCEL);
}

void H2Client::open_window(std::int32_t stream, std::int32_t bytes) {
  nghttp2_submit_window_update(session_.get(), NGHTTP2_FLAG_NONE, stream, bytes);
}

void H2Client::ping() { nghttp2_submit_ping(session_.get(), NGHTTP2_FLAG_NONE, nullptr); }

void H2Client::pump() {
  for (;;) {
    const std::uint8_t* bytes = nullptr;
    ssize_t n = nghttp2_session_mem_send(session_.get(), &bytes);
    if (n <= 0) break;
    socket_.write({reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(n)});
  }
  socket_.pump();
  std::string received = socket_.take_received();
  if (received.empty()) return;
  nghttp2_session_mem_recv(session_.get(), reinterpret_cast<const std::uint8_t*>(received.data()),
                           received.size());
  pump();
}

}  // namespace nodepilot
