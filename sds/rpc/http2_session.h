// The server's end of one HTTP/2 connection: libnghttp2 with our bounds, and none of its C in
// sight. Bytes go in by receive(), frames come out by pull(); what comes in between is told to
// Events. Does no I/O and reads no clock.
// Thread: loop.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "agent/base/result.h"
#include "sds/rpc/flood_guard.h"
#include "sds/rpc/limits.h"
#include "sds/rpc/output_queue.h"

struct nghttp2_session;

namespace nodepilot {

class SessionMemory;

// A reply's next piece of body.
struct Body {
  enum class State {
    kReady,    // `length` bytes go out now, and more may follow
    kLast,     // the same, and the trailers, submitted already, follow
    kNothing,  // nothing to send until resume()
  };
  State state = State::kNothing;
  std::size_t length = 0;
};

class Http2Session {
 public:
  // Every call comes from within receive() or pull(), so none may call those two.
  class Events {
   public:
    virtual ~Events() = default;

    // A header block: its start (of a new request, or of trailers), each field (false: reset the
    // stream), and for a request its end.
    virtual void on_headers_begin(bool request) = 0;
    virtual bool on_header(std::string_view name, std::string_view value) = 0;
    virtual void on_request(std::int32_t stream) = 0;
    virtual void on_data(std::int32_t stream, std::string_view bytes) = 0;
    virtual void on_half_close(std::int32_t stream) = 0;
    // The stream is over, for whatever reason.
    virtual void on_stream_close(std::int32_t stream) = 0;

    virtual void on_control_frame(ControlFrame frame) = 0;
    // A stream beyond the limit was reset; no other event tells of it.
    virtual void on_refused_stream() = 0;
    // HEADERS or DATA have gone out.
    virtual void on_reply_frame() = 0;
    // The client broke the protocol, and GOAWAY has gone out.
    virtual void on_violation(std::string_view what) = 0;

    // What `stream` sends next, at most `max` bytes; then the same bytes, to put on `output`.
    virtual Body next_body(std::int32_t stream, std::size_t max) = 0;
    virtual void write_body(std::int32_t stream, std::size_t length, OutputQueue& output) = 0;
  };

  struct Header {
    std::string_view name;
    std::string_view value;
  };

  // `events` outlives it.
  Http2Session(Events& events, const Limits& limits);
  Http2Session(const Http2Session&) = delete;
  Http2Session& operator=(const Http2Session&) = delete;
  ~Http2Session();

  // Takes what the client sent. An error means: close, there is nothing more to say to it.
  expected<void> receive(std::string_view bytes);
  // Moves frames that may go out to `output` until it has `enough` bytes or there are no more.
  expected<void> pull(OutputQueue& output, std::size_t enough);

  // These submit; pull() sends.
  void respond(std::int32_t stream, std::span<const Header> headers, bool with_body);
  void end(std::int32_t stream, std::span<const Header> trailers);
  void resume(std::int32_t stream);
  void cancel(std::int32_t stream);
  // "No new streams, please"; then, once none is left, or at once for cause, GOAWAY.
  void announce_shutdown();
  void go_away(bool calm_down);

  // Neither side has anything to say any more.
  bool finished() const;
  bool wants_input() const;
  // Frames that wait for pull().
  std::size_t waiting_frames() const;

 private:
  struct Callbacks;  // what nghttp2 calls
  struct Delete {
    void operator()(nghttp2_session* session) const;
  };

  void submitted(int error);

  Events& events_;
  OutputQueue* output_ = nullptr;  // only within pull()
  std::size_t enough_ = 0;
  bool out_of_memory_ = false;
  std::unique_ptr<SessionMemory> memory_;  // outlives the session
  std::unique_ptr<nghttp2_session, Delete> session_;
};

}  // namespace nodepilot
