// One client: a socket, the process at its other end, an HTTP/2 session and its calls.
//
// Everything happens in turns of the loop. Within a turn the session and the handlers only submit;
// the end of the turn, settle(), alone writes to the socket, drops what is over, and closes.
// Thread: loop.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/loop.h"
#include "attest/peer.h"
#include "sds/rpc/flood_guard.h"
#include "sds/rpc/frame_boundary.h"
#include "sds/rpc/http2_session.h"
#include "sds/rpc/output_queue.h"
#include "sds/rpc/request_head.h"
#include "sds/rpc/server_context.h"
#include "sds/rpc/stream.h"

namespace nodepilot {

class Connection : public std::enable_shared_from_this<Connection>, private Http2Session::Events {
 public:
  Connection(std::shared_ptr<ServerContext> context, std::shared_ptr<const Peer> peer,
             Admission::Ticket ticket);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() override;

  // Takes the socket, which must be non-blocking and tell its senders (SO_PASSCRED).
  expected<void> start(Fd socket);

  // Ends every call with UNAVAILABLE, then says GOAWAY, then closes.
  void drain();
  // Closes without a word. From within one of its own turns: at the end of that.
  void close();

  // For its streams.
  const std::shared_ptr<const Peer>& peer() const { return peer_; }
  Http2Session& session() { return session_; }
  bool over_budget() const { return ticket_.over_budget(); }
  // Sees to it that what was submitted goes out: at the end of this turn or in one of its own.
  void kick();
  // Closes for cause; nothing more is sent.
  void abandon(std::string reason);
  // The call is over but for what still goes out.
  void finished(std::int32_t stream);
  // The client had us do a call's worth of work: counts against its rate.
  void charge() { requests_.borrow(now_); }
  // Whether the peer is still who it was; if not, the connection ends with this turn. Looks
  // once for what comes in during a turn, and once for what goes out.
  bool same_peer();
  std::unique_ptr<boost::asio::steady_timer> make_deadline(std::int32_t stream,
                                                           std::chrono::nanoseconds timeout);

 private:
  using Instant = TokenBucket::Instant;
  enum class Fate {
    kServing,
    kChanged,   // the peer is another: every call is to be told, then it closes
    kFarewell,  // sends what the socket takes at once, then closes
    kDead,      // sends nothing, closes
    kClosed,
  };

  // Http2Session::Events
  void on_headers_begin(bool request) override;
  bool on_header(std::string_view name, std::string_view value) override;
  void on_request(std::int32_t stream) override;
  void on_data(std::int32_t stream, std::string_view bytes) override;
  void on_half_close(std::int32_t stream) override;
  void on_stream_close(std::int32_t stream) override;
  void on_control_frame(ControlFrame frame) override;
  void on_refused_stream() override { charge(); }
  void on_reply_frame() override { flood_guard_.reply_sent(); }
  void on_violation(std::string_view what) override;
  Body next_body(std::int32_t stream, std::size_t max) override;
  void write_body(std::int32_t stream, std::size_t length, OutputQueue& output) override;

  // A turn: step(), then settle(). later() makes a handler for Asio of it.
  template <class Step>
  void turn(Step step);
  template <class Step>
  auto later(Step step);
  void settle();
  static void turn_kicked_later(const std::shared_ptr<ServerContext>& context);
  static void turn_kicked(const std::shared_ptr<ServerContext>& context);

  void begin_call(std::int32_t stream, RequestHead& head);
  Stream* find(std::int32_t stream);

  void read();
  bool may_read() const;
  void flush();
  void write_output();
  void tell_changed();
  void drop_finished();
  void tell_sent();

  void watch_peer();
  void wait_for_socket();
  void take_stock();
  void arm_timer();
  void on_timer();

  // Constant after construction.
  const std::shared_ptr<ServerContext> context_;
  const std::shared_ptr<const Peer> peer_;

  // Loop only.
  Admission::Ticket ticket_;
  Http2Session session_;
  std::map<std::int32_t, std::unique_ptr<Stream>> streams_;
  std::unique_ptr<RequestHead> head_;  // of the header block that is coming in
  std::vector<std::int32_t> finished_;
  FrameBoundary boundary_;
  FloodGuard flood_guard_;
  TokenBucket requests_;

  OutputQueue output_;
  std::vector<std::int32_t> sent_;  // streams to tell that their message is with the kernel

  boost::asio::posix::stream_descriptor socket_;
  boost::asio::posix::stream_descriptor pidfd_;  // borrowed from the peer
  boost::asio::steady_timer timer_;
  Instant timer_due_ = Instant::max();

  Instant now_;  // of this turn
  Instant born_;
  Instant heard_;     // since then we wait for a byte
  Instant progress_;  // a byte went, or the first one had to wait

  Fate fate_ = Fate::kServing;
  std::string reason_;            // why it is closed for cause
  std::optional<Error> changed_;  // how the peer has
  bool busy_ = false;             // within a turn: settle() is still to come
  bool kicked_ = false;
  bool reading_ = false;
  bool writing_ = false;
  bool peer_checked_ = false;   // in this step or settling
  bool greeted_ = false;        // preface and SETTINGS have come
  bool half_received_ = false;  // a frame or a message has begun and not ended
  bool draining_ = false;
  bool gone_away_ = false;
};

}  // namespace nodepilot
