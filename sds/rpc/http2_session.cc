#include "sds/rpc/http2_session.h"

#include <nghttp2/nghttp2.h>

#include <array>
#include <new>
#include <vector>

#include "sds/rpc/session_memory.h"

namespace nodepilot {
namespace {

constexpr std::size_t kFrameHeaderBytes = 9;

std::string_view view(const std::uint8_t* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};  // NOLINT: bytes are bytes
}

struct OptionDelete {
  void operator()(nghttp2_option* option) const { nghttp2_option_del(option); }
};
using Option = std::unique_ptr<nghttp2_option, OptionDelete>;

Option make_options(const Limits& limits) {
  nghttp2_option* made = nullptr;
  if (nghttp2_option_new(&made) != 0) throw std::bad_alloc();
  Option option(made);
  nghttp2_option_set_no_closed_streams(made, 1);
  // Our few reply headers are in the static table, so a table of our own would only cost memory.
  nghttp2_option_set_max_deflate_dynamic_table_size(made, 0);
  // FloodGuard, which forgives more, speaks first; these bound what a bug of it would let through.
  nghttp2_option_set_max_outbound_ack(made, 1000);
  nghttp2_option_set_stream_reset_rate_limit(made, limits.resets_per_second * 20,
                                             limits.resets_per_second * 2);
  return option;
}

std::vector<nghttp2_nv> to_fields(std::span<const Http2Session::Header> headers) {
  std::vector<nghttp2_nv> fields;
  fields.reserve(headers.size());
  for (const auto& header : headers) {
    // nghttp2 takes mutable pointers and copies what they point at.
    auto* name = reinterpret_cast<std::uint8_t*>(const_cast<char*>(header.name.data()));  // NOLINT
    auto* value =
        reinterpret_cast<std::uint8_t*>(const_cast<char*>(header.value.data()));  // NOLINT
    fields.push_back({name, value, header.name.size(), header.value.size(), NGHTTP2_NV_FLAG_NONE});
  }
  return fields;
}

bool is_request(const nghttp2_frame& frame) {
  return frame.hd.type == NGHTTP2_HEADERS && frame.headers.cat == NGHTTP2_HCAT_REQUEST;
}

bool has(const nghttp2_frame& frame, std::uint8_t flag) { return (frame.hd.flags & flag) != 0; }

}  // namespace

struct Http2Session::Callbacks {
  static Http2Session& self(void* user) { return *static_cast<Http2Session*>(user); }

  static int begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    self(user).events_.on_headers_begin(is_request(*frame));
    return 0;
  }

  static int header(nghttp2_session*, const nghttp2_frame*, const std::uint8_t* name,
                    std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                    std::uint8_t, void* user) {
    bool wanted = self(user).events_.on_header(view(name, name_size), view(value, value_size));
    return wanted ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int data(nghttp2_session*, std::uint8_t, std::int32_t stream, const std::uint8_t* bytes,
                  std::size_t size, void* user) {
    self(user).events_.on_data(stream, view(bytes, size));
    return 0;
  }

  static int frame_received(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Events& events = self(user).events_;
    std::int32_t stream = frame->hd.stream_id;
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
        if (is_request(*frame)) events.on_request(stream);
        if (has(*frame, NGHTTP2_FLAG_END_STREAM)) events.on_half_close(stream);
        break;
      case NGHTTP2_DATA:
        if (has(*frame, NGHTTP2_FLAG_END_STREAM)) {
          events.on_half_close(stream);
        } else if (frame->hd.length == frame->data.padlen) {
          events.on_control_frame(ControlFrame::kIdle);
        }
        break;
      case NGHTTP2_PRIORITY:
        events.on_control_frame(ControlFrame::kIdle);
        break;
      case NGHTTP2_RST_STREAM:
        events.on_control_frame(ControlFrame::kReset);
        break;
      case NGHTTP2_SETTINGS:
        if (!has(*frame, NGHTTP2_FLAG_ACK)) events.on_control_frame(ControlFrame::kSettings);
        break;
      case NGHTTP2_PING:
        events.on_control_frame(ControlFrame::kPing);
        break;
      default:
        break;
    }
    return 0;
  }

  static int frame_sent(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    Events& events = self(user).events_;
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
        events.on_reply_frame();
        // The call is over; a client that still sends must not keep the stream open.
        if (has(*frame, NGHTTP2_FLAG_END_STREAM) &&
            nghttp2_session_get_stream_remote_close(session, frame->hd.stream_id) == 0) {
          nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                    NGHTTP2_NO_ERROR);
        }
        break;
      case NGHTTP2_DATA:
        events.on_reply_frame();
        break;
      case NGHTTP2_RST_STREAM:
        if (frame->rst_stream.error_code == NGHTTP2_REFUSED_STREAM) events.on_refused_stream();
        break;
      case NGHTTP2_GOAWAY:
        if (frame->goaway.error_code != NGHTTP2_NO_ERROR) {
          events.on_violation(nghttp2_http2_strerror(frame->goaway.error_code));
        }
        break;
      default:
        break;
    }
    return 0;
  }

  static int stream_closed(nghttp2_session*, std::int32_t stream, std::uint32_t, void* user) {
    self(user).events_.on_stream_close(stream);
    return 0;
  }

  static ssize_t read_body(nghttp2_session*, std::int32_t stream, std::uint8_t*, std::size_t max,
                           std::uint32_t* flags, nghttp2_data_source*, void* user) {
    Body body = self(user).events_.next_body(stream, max);
    if (body.state == Body::State::kNothing) return NGHTTP2_ERR_DEFERRED;
    if (body.length > 0) *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (body.state == Body::State::kLast) {
      *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    }
    return static_cast<ssize_t>(body.length);
  }

  static int send_body(nghttp2_session*, nghttp2_frame* frame, const std::uint8_t* header,
                       std::size_t length, nghttp2_data_source*, void* user) {
    Http2Session& session = self(user);
    session.output_->append(view(header, kFrameHeaderBytes));
    session.events_.write_body(frame->hd.stream_id, length, *session.output_);
    return session.output_->size() < session.enough_ ? 0 : NGHTTP2_ERR_PAUSE;
  }

  static std::unique_ptr<nghttp2_session_callbacks, void (*)(nghttp2_session_callbacks*)> make() {
    nghttp2_session_callbacks* made = nullptr;
    if (nghttp2_session_callbacks_new(&made) != 0) throw std::bad_alloc();
    nghttp2_session_callbacks_set_on_begin_headers_callback(made, begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(made, header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(made, frame_received);
    nghttp2_session_callbacks_set_on_frame_send_callback(made, frame_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(made, stream_closed);
    nghttp2_session_callbacks_set_send_data_callback(made, send_body);
    return {made, nghttp2_session_callbacks_del};
  }
};

void Http2Session::Delete::operator()(nghttp2_session* session) const {
  nghttp2_session_del(session);
}

Http2Session::Http2Session(Events& events, const Limits& limits)
    : events_(events), memory_(std::make_unique<SessionMemory>()) {
  auto callbacks = Callbacks::make();
  Option option = make_options(limits);
  nghttp2_mem memory = memory_->functions();
  nghttp2_session* made = nullptr;
  if (nghttp2_session_server_new3(&made, callbacks.get(), this, option.get(), &memory) != 0) {
    throw std::bad_alloc();
  }
  session_.reset(made);
  std::array<nghttp2_settings_entry, 2> settings = {
      {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
        static_cast<std::uint32_t>(limits.streams_per_connection)},
       {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(limits.header_bytes)}}};
  nghttp2_submit_settings(made, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
}

Http2Session::~Http2Session() = default;

expected<void> Http2Session::receive(std::string_view bytes) {
  ssize_t n = nghttp2_session_mem_recv(
      session_.get(), reinterpret_cast<const std::uint8_t*>(bytes.data()),  // NOLINT: bytes
      bytes.size());
  if (n < 0) return fail(Code::kInternal, nghttp2_strerror(static_cast<int>(n)));
  return {};
}

expected<void> Http2Session::pull(OutputQueue& output, std::size_t enough) {
  if (out_of_memory_) return fail(Code::kResourceExhausted, "out of memory");
  output_ = &output;
  enough_ = enough;
  while (output.size() < enough) {
    const std::uint8_t* bytes = nullptr;
    ssize_t n = nghttp2_session_mem_send(session_.get(), &bytes);
    if (n < 0) return fail(Code::kInternal, nghttp2_strerror(static_cast<int>(n)));
    if (n == 0) break;
    output.append(view(bytes, static_cast<std::size_t>(n)));
  }
  return {};
}

void Http2Session::respond(std::int32_t stream, std::span<const Header> headers, bool with_body) {
  auto fields = to_fields(headers);
  nghttp2_data_provider body{};
  body.read_callback = Callbacks::read_body;
  submitted(nghttp2_submit_response(session_.get(), stream, fields.data(), fields.size(),
                                    with_body ? &body : nullptr));
}

void Http2Session::end(std::int32_t stream, std::span<const Header> trailers) {
  auto fields = to_fields(trailers);
  submitted(nghttp2_submit_trailer(session_.get(), stream, fields.data(), fields.size()));
}

void Http2Session::resume(std::int32_t stream) {
  submitted(nghttp2_session_resume_data(session_.get(), stream));
}

void Http2Session::cancel(std::int32_t stream) {
  submitted(nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, stream, NGHTTP2_CANCEL));
}

void Http2Session::announce_shutdown() {
  submitted(nghttp2_submit_shutdown_notice(session_.get()));
}

void Http2Session::go_away(bool calm_down) {
  submitted(nghttp2_session_terminate_session(
      session_.get(), calm_down ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_NO_ERROR));
}

void Http2Session::submitted(int error) {
  // The others mean that the stream is gone, which on_stream_close() tells.
  if (error == NGHTTP2_ERR_NOMEM) out_of_memory_ = true;
}

bool Http2Session::finished() const {
  return nghttp2_session_want_read(session_.get()) == 0 &&
         nghttp2_session_want_write(session_.get()) == 0;
}

bool Http2Session::wants_input() const { return nghttp2_session_want_read(session_.get()) != 0; }

std::size_t Http2Session::waiting_frames() const {
  return nghttp2_session_get_outbound_queue_size(session_.get());
}

}  // namespace nodepilot
