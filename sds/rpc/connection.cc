#include "sds/rpc/connection.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "agent/base/log.h"
#include "sds/rpc/grpc_headers.h"
#include "sds/rpc/grpc_reply.h"
#include "sds/rpc/socket_io.h"

namespace nodepilot {
namespace {

namespace asio = boost::asio;
using asio::posix::stream_descriptor;

// One write's worth: enough to be rare, little enough that newest-wins still means something.
constexpr std::size_t kOutputBytes = std::size_t{64} * 1024;
// News for thousands are sent to a few at a time, and the loop gets round to all else in between.
constexpr std::size_t kTurnsAtOnce = 32;
// While the client takes no bytes, no more of its frames are read than may queue so many answers.
constexpr std::size_t kWaitingFrames = 256;

std::string milliseconds(std::chrono::milliseconds time) {
  return std::to_string(time.count()) + " ms";
}

}  // namespace

Connection::Connection(std::shared_ptr<ServerContext> context, std::shared_ptr<const Peer> peer,
                       Admission::Ticket ticket)
    : context_(std::move(context)),
      peer_(std::move(peer)),
      ticket_(std::move(ticket)),
      session_(*this, context_->limits),
      flood_guard_(context_->limits),
      requests_(context_->limits.new_streams_per_second, context_->limits.new_streams_per_second),
      socket_(context_->loop.io()),
      pidfd_(context_->loop.io()),
      timer_(context_->loop.io()),
      now_(std::chrono::steady_clock::now()),
      born_(now_),
      heard_(now_),
      progress_(now_) {}

Connection::~Connection() {
  if (pidfd_.is_open()) pidfd_.release();
}

expected<void> Connection::start(Fd socket) {
  boost::system::error_code error;
  socket_.assign(socket.get(), error);
  if (error) return fail(Code::kResourceExhausted, "watch a connection: " + error.message());
  socket.release();
  pidfd_.assign(peer_->pidfd(), error);
  if (error) return fail(Code::kResourceExhausted, "watch a client: " + error.message());
  watch_peer();
  turn([] {});
  return {};
}

template <class Step>
void Connection::turn(Step step) {
  auto self = shared_from_this();  // close() may drop every other reference
  if (fate_ == Fate::kClosed) return;
  if (busy_) return step();  // a handler drains its own listener
  now_ = std::chrono::steady_clock::now();
  peer_checked_ = false;
  busy_ = true;
  step();
  settle();
}

template <class Step>
auto Connection::later(Step step) {
  return [weak = weak_from_this(), step](const boost::system::error_code& error = {}) {
    if (error == asio::error::operation_aborted) return;
    if (auto self = weak.lock()) self->turn([&] { step(*self); });
  };
}

void Connection::settle() {
  drop_finished();
  peer_checked_ = false;  // much may have been done for it in this turn, attestation too
  if (fate_ != Fate::kDead) flush();
  if (fate_ == Fate::kChanged) tell_changed();
  if (draining_ && streams_.empty() && fate_ == Fate::kServing && !gone_away_) {
    gone_away_ = true;
    session_.go_away(false);
    flush();
  }
  busy_ = false;
  if (fate_ != Fate::kServing || (session_.finished() && output_.empty())) return close();
  take_stock();
  wait_for_socket();
  arm_timer();
  tell_sent();
}

void Connection::kick() {
  if (busy_ || kicked_ || fate_ == Fate::kClosed) return;
  kicked_ = true;
  context_->kicked.push_back(weak_from_this());
  if (context_->kicked.size() > 1) return;
  turn_kicked_later(context_);
}

void Connection::turn_kicked_later(const std::shared_ptr<ServerContext>& context) {
  asio::post(context->loop.io(), [weak = std::weak_ptr(context)] {
    if (auto alive = weak.lock()) turn_kicked(alive);
  });
}

void Connection::turn_kicked(const std::shared_ptr<ServerContext>& context) {
  auto& kicked = context->kicked;
  context->looks.emplace();
  for (std::size_t left = std::min(kicked.size(), kTurnsAtOnce); left > 0; --left) {
    if (auto self = kicked.front().lock()) self->turn([&] { self->kicked_ = false; });
    kicked.pop_front();  // only now: until it is empty no other kick posts
  }
  context->looks.reset();
  if (!kicked.empty()) turn_kicked_later(context);
}

void Connection::abandon(std::string reason) {
  if (fate_ == Fate::kClosed) return;
  if (reason_.empty()) reason_ = std::move(reason);
  fate_ = Fate::kDead;
  kick();
}

void Connection::drain() {
  turn([this] {
    draining_ = true;
    session_.announce_shutdown();
    for (const auto& [id, stream] : streams_) {
      stream->finish(Status(Code::kUnavailable, "shutting down"));
    }
  });
}

void Connection::close() {
  if (busy_) {
    fate_ = Fate::kDead;
    return;
  }
  if (std::exchange(fate_, Fate::kClosed) == Fate::kClosed) return;
  if (!reason_.empty()) {
    context_->incidents.write("connection closed", peer_->pid(), peer_->uid(), reason_, now_);
  }
  timer_.cancel();
  boost::system::error_code ignored;
  socket_.close(ignored);
  std::exchange(streams_, {}).clear();
  output_ = OutputQueue();
  ticket_.release();
  if (context_->on_closed) context_->on_closed(*this);
}

bool Connection::same_peer() {
  if (peer_checked_) return true;
  if (fate_ == Fate::kChanged) return false;
  auto checked = context_->looks ? context_->looks->check(peer_) : peer_->check();
  peer_checked_ = checked.has_value();
  if (peer_checked_) return true;
  abandon(checked.error().message);
  // What waits on its way to the socket was meant for who it was: then there are no last words.
  if (peer_->alive() && output_.empty()) {
    changed_ = std::move(checked).error();
    fate_ = Fate::kChanged;
  }
  return false;
}

void Connection::tell_changed() {
  fate_ = Fate::kFarewell;
  for (const auto& [id, stream] : streams_) stream->on_peer_changed(*changed_);
  flush();
  session_.go_away(false);
  flush();
}

// --- calls

Stream* Connection::find(std::int32_t stream) {
  auto found = streams_.find(stream);
  bool reachable = fate_ == Fate::kServing || (fate_ == Fate::kFarewell && changed_);
  return found == streams_.end() || !reachable ? nullptr : found->second.get();
}

void Connection::on_headers_begin(bool request) {
  head_ = std::make_unique<RequestHead>(context_->limits.header_bytes);
  if (request) charge();
}

bool Connection::on_header(std::string_view name, std::string_view value) {
  return head_->add(name, value);
}

void Connection::on_request(std::int32_t stream) {
  auto head = std::move(head_);
  if (fate_ != Fate::kServing) return;
  // A changed peer's call begins, too, but only to be told why it ends.
  if (same_peer() || fate_ == Fate::kChanged) begin_call(stream, *head);
}

void Connection::begin_call(std::int32_t stream, RequestHead& head) {
  auto refuse = [&](Code code, std::string why) {
    send_status(session_, stream, Status(code, std::move(why)));
  };
  if (auto refusal = head.refusal()) {
    if (refusal->http_status != 200)
      return send_http_status(session_, stream, refusal->http_status);
    return refuse(refusal->status.code, refusal->status.message);
  }
  if (draining_) return refuse(Code::kUnavailable, "shutting down");
  if (ticket_.over_budget()) {
    return refuse(Code::kResourceExhausted, "the server buffers too much; try again later");
  }
  auto method = context_->by_path.find(head.path());
  if (method == context_->by_path.end()) {
    return refuse(Code::kUnimplemented, "unknown method " + quote(head.path()));
  }
  std::optional<std::chrono::nanoseconds> timeout;
  if (head.timeout()) {
    auto parsed = parse_timeout(*head.timeout());
    if (!parsed) return refuse(parsed.error().code, parsed.error().message);
    timeout = *parsed;
  }
  auto call = std::make_unique<Stream>(*this, stream, *method->second, head);
  streams_.emplace(stream, std::move(call)).first->second->open(timeout);
}

void Connection::on_data(std::int32_t stream, std::string_view bytes) {
  if (Stream* call = find(stream)) call->on_data(bytes);
}

void Connection::on_half_close(std::int32_t stream) {
  if (Stream* call = find(stream)) call->on_half_close();
}

void Connection::on_stream_close(std::int32_t stream) { streams_.erase(stream); }

Body Connection::next_body(std::int32_t stream, std::size_t max) {
  Stream* call = find(stream);
  return call == nullptr ? Body{Body::State::kNothing} : call->next_body(max);
}

void Connection::write_body(std::int32_t stream, std::size_t length, OutputQueue& output) {
  if (Stream* call = find(stream)) call->write_body(length, output);
}

void Connection::finished(std::int32_t stream) {
  finished_.push_back(stream);
  kick();
}

void Connection::drop_finished() {
  // A handler that goes may finish other calls.
  while (!finished_.empty()) {
    for (std::int32_t id : std::exchange(finished_, {})) {
      if (Stream* call = find(id)) call->drop_handler();
    }
  }
}

void Connection::tell_sent() {
  for (std::int32_t id : std::exchange(sent_, {})) {
    if (Stream* call = find(id)) call->on_sent();
  }
}

std::unique_ptr<asio::steady_timer> Connection::make_deadline(std::int32_t stream,
                                                              std::chrono::nanoseconds timeout) {
  auto timer = std::make_unique<asio::steady_timer>(context_->loop.io(), timeout);
  timer->async_wait(later([stream](Connection& self) {
    if (Stream* call = self.find(stream)) call->on_deadline();
  }));
  return timer;
}

// --- floods

void Connection::on_control_frame(ControlFrame frame) {
  greeted_ = true;  // the session insists that SETTINGS come first
  if (fate_ != Fate::kServing || flood_guard_.allows(frame, now_)) return;
  reason_ = "too many PING, RST_STREAM, SETTINGS or empty frames";
  fate_ = Fate::kFarewell;
  session_.go_away(true);
}

void Connection::on_violation(std::string_view what) {
  if (reason_.empty()) reason_ = "protocol violation: " + std::string(what);
}

// --- the socket

void Connection::read() {
  Received received = receive(socket_.native_handle(), context_->input);
  if (received.gone) fate_ = Fate::kDead;  // nobody's fault
  if (received.bytes.empty()) return;
  // A socket can be inherited or passed on, an identity cannot.
  if (received.sender != peer_->pid()) {
    return abandon("process " + std::to_string(received.sender) + " sends on this connection");
  }
  // Alive after the read, it had its pid to itself all the time: no heir with that pid has sent.
  if (!peer_->alive()) return abandon("the process that connected has exited");
  boundary_.read(received.bytes);
  auto taken = session_.receive(received.bytes);
  if (!taken) abandon("protocol violation: " + taken.error().message);
}

void Connection::flush() {
  if (!output_.empty()) write_output();
  while (output_.empty() && fate_ != Fate::kDead) {
    progress_ = now_;
    auto pulled = session_.pull(output_, kOutputBytes);
    if (!pulled) return abandon("cannot send: " + pulled.error().message);
    if (output_.empty()) return;
    write_output();
  }
}

void Connection::write_output() {
  while (!output_.empty()) {
    auto sent = send(socket_.native_handle(), output_);
    if (!sent) {
      fate_ = Fate::kDead;
      return;
    }
    if (*sent == 0) return;
    progress_ = now_;
    auto finished = output_.consume(*sent);
    if (sent_.empty()) {
      sent_ = std::move(finished);
    } else {
      sent_.insert(sent_.end(), finished.begin(), finished.end());
    }
  }
}

void Connection::watch_peer() {
  pidfd_.async_wait(stream_descriptor::wait_read, later([](Connection& self) {
                      // Asio also wakes who waits for what another one, just closed, was told.
                      if (self.peer_->alive()) return self.watch_peer();
                      self.fate_ = Fate::kDead;
                    }));
}

bool Connection::may_read() const {
  // Too fast a client waits; it is not punished.
  bool answers_pile_up = !output_.empty() && session_.waiting_frames() >= kWaitingFrames;
  return session_.wants_input() && requests_.paid() <= now_ && !answers_pile_up;
}

void Connection::wait_for_socket() {
  if (!reading_ && may_read()) {
    reading_ = true;
    heard_ = now_;
    socket_.async_wait(stream_descriptor::wait_read, later([](Connection& self) {
                         self.reading_ = false;
                         self.read();
                       }));
  }
  if (!writing_ && !output_.empty()) {
    writing_ = true;
    socket_.async_wait(stream_descriptor::wait_write,
                       later([](Connection& self) { self.writing_ = false; }));
  }
}

// --- time

void Connection::take_stock() {
  std::size_t held = output_.size() + (head_ ? head_->held() : 0);
  half_received_ = boundary_.inside();
  for (const auto& [id, stream] : streams_) {
    held += stream->held();
    half_received_ = half_received_ || stream->half_received();
  }
  ticket_.hold(held);
}

void Connection::arm_timer() {
  const Limits& limits = context_->limits;
  Instant due = Instant::max();
  if (!greeted_) due = std::min(due, born_ + limits.preface_timeout);
  if (!output_.empty()) due = std::min(due, progress_ + limits.write_stall_timeout);
  if (half_received_ && reading_) due = std::min(due, heard_ + limits.half_sent_timeout);
  if (requests_.paid() > now_) due = std::min(due, requests_.paid());
  if (due >= timer_due_) return;  // it fires early enough, and then looks again
  timer_due_ = due;
  timer_.expires_at(due);
  timer_.async_wait(later([](Connection& self) { self.on_timer(); }));
}

void Connection::on_timer() {
  const Limits& limits = context_->limits;
  timer_due_ = Instant::max();
  if (!greeted_ && now_ >= born_ + limits.preface_timeout) {
    abandon("no HTTP/2 preface and SETTINGS within " + milliseconds(limits.preface_timeout));
  } else if (!output_.empty() && now_ >= progress_ + limits.write_stall_timeout) {
    abandon("took no byte for " + milliseconds(limits.write_stall_timeout));
  } else if (half_received_ && reading_ && now_ >= heard_ + limits.half_sent_timeout) {
    abandon("began a frame or message, then was silent for " +
            milliseconds(limits.half_sent_timeout));
  }
}

}  // namespace nodepilot
