#include "sds/rpc/stream.h"

#include <utility>

#include "sds/rpc/connection.h"
#include "sds/rpc/grpc_reply.h"
#include "sds/rpc/request_head.h"

namespace nodepilot {

Stream::Stream(Connection& connection, std::int32_t id, const Method& method, RequestHead& head)
    : connection_(connection),
      id_(id),
      method_(method),
      metadata_(head.take_metadata()),
      reader_(method.max_request_bytes) {}

void Stream::open(std::optional<std::chrono::nanoseconds> timeout) {
  if (timeout) {
    deadline_ = connection_.make_deadline(id_, *timeout);
  }
  handler_ = method_.open(*this);
  metadata_ = {};
  if (!handler_) finish(Status(Code::kInternal, "the method has no handler"));
}

std::shared_ptr<const Peer> Stream::peer() const { return connection_.peer(); }

void Stream::send(Frame frame) {
  if (status_) return;
  waiting_ = std::move(frame);
  if (!replying_) send_headers(connection_.session(), id_);
  replying_ = true;
  if (std::exchange(idle_, false)) connection_.session().resume(id_);
  connection_.kick();
}

void Stream::finish(Status status) {
  if (status_) return;
  status_ = std::move(status);
  request_.reset();
  if (!replying_) send_status(connection_.session(), id_, *status_);
  if (std::exchange(idle_, false)) connection_.session().resume(id_);
  connection_.finished(id_);
}

void Stream::disconnect(std::string reason) {
  if (!status_) status_ = Status(Code::kUnavailable, reason);
  connection_.abandon(std::move(reason));
}

void Stream::on_data(std::string_view bytes) {
  while (!status_) {
    auto message = reader_.next(bytes);
    if (!message) return finish(message.error());
    if (!message->has_value()) break;
    take(**message);
  }
  if (!status_ && reader_.held() + handler_->held() > 0 && connection_.over_budget()) {
    finish(Status(Code::kResourceExhausted, "the server buffers too much; try again later"));
  }
}

void Stream::take(std::string_view message) {
  if (method_.requests == Method::Requests::kMany) {
    connection_.charge();
    handler_->on_message(message);
  } else if (request_) {
    finish(Status(Code::kInvalidArgument, "a second message came; this method takes one"));
  } else {
    request_.emplace(message);
  }
}

void Stream::on_half_close() {
  if (status_) return;
  if (reader_.half_received()) {
    finish(Status(Code::kInternal, "the stream ended within a message"));
  } else if (method_.requests == Method::Requests::kMany) {
    handler_->on_half_close(*this);
  } else if (!request_) {
    finish(Status(Code::kInvalidArgument, "no message came; this method takes one"));
  } else {
    std::string request = *std::exchange(request_, std::nullopt);
    handler_->on_message(request);
  }
}

void Stream::on_sent() {
  --in_transit_;
  if (!status_ && in_transit_ == 0 && !waiting_.bytes) handler_->on_sent();
}

void Stream::on_deadline() {
  waiting_ = {};
  // While the client's window is closed to a message, trailers cannot go out either.
  if (status_ || (replying_ && !idle_)) connection_.session().cancel(id_);
  finish(Status(Code::kDeadlineExceeded, "the deadline that the client set has passed"));
}

void Stream::on_peer_changed(const Error& why) {
  // A message that has begun cannot be taken back, nor one that was to come before an end that is
  // submitted: only a reset cuts them off.
  bool promised = sending_.bytes || (status_ && waiting_.bytes);
  waiting_ = {};
  if (promised) return connection_.session().cancel(id_);
  if (status_) return;
  // The session has asked in vain for what was withheld.
  idle_ = replying_;
  finish(handler_->on_peer_changed(why));
}

Body Stream::next_body(std::size_t max) {
  bool secret = sending_.bytes ? sending_.secret : waiting_.secret;
  if (secret && !connection_.same_peer()) return {Body::State::kNothing};
  if (!sending_.bytes && waiting_.bytes) {
    sending_ = std::exchange(waiting_, {});
    sent_ = 0;
    ++in_transit_;
  }
  std::size_t left = sending_.bytes ? sending_.bytes->size() - sent_ : 0;
  std::size_t length = std::min(left, max);
  if (status_ && length == left && !waiting_.bytes) {
    send_trailers(connection_.session(), id_, *status_);
    return {Body::State::kLast, length};
  }
  if (left > 0) return {Body::State::kReady, length};
  idle_ = true;
  return {Body::State::kNothing};
}

void Stream::write_body(std::size_t length, OutputQueue& output) {
  bool last = sent_ + length == sending_.bytes->size();
  output.append(sending_.bytes, sent_, length, last ? id_ : 0);
  sent_ += length;
  if (last) sending_ = {};
}

std::size_t Stream::held() const {
  std::size_t bytes = reader_.held();
  if (request_) bytes += request_->size();
  if (waiting_.bytes) bytes += waiting_.bytes->size();
  if (sending_.bytes) bytes += sending_.bytes->size();
  if (handler_) bytes += handler_->held();
  return bytes;
}

}  // namespace nodepilot
