// One gRPC call on a connection: messages in, at most one waiting message out, status.
// Thread: loop.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "agent/base/loop.h"
#include "sds/rpc/call.h"
#include "sds/rpc/http2_session.h"
#include "sds/rpc/message_reader.h"

namespace nodepilot {

class Connection;
class RequestHead;

class Stream final : public Call {
 public:
  // `connection` owns it; `method` outlives it.
  Stream(Connection& connection, std::int32_t id, const Method& method, RequestHead& head);

  // Opens the handler. `timeout` is what the client gave the call.
  void open(std::optional<std::chrono::nanoseconds> timeout);

  // Call
  std::shared_ptr<const Peer> peer() const override;
  const Metadata& metadata() const override { return metadata_; }
  void send(Frame frame) override;
  void finish(Status status) override;
  void disconnect(std::string reason) override;

  // What the client and the kernel do.
  void on_data(std::string_view bytes);
  void on_half_close();
  void on_sent();
  void on_deadline();
  // The peer is no longer who it was: of what waits nothing goes out any more but why.
  void on_peer_changed(const Error& why);

  // Destroys the handler of a finished call; not from within it.
  void drop_handler() { handler_.reset(); }

  Body next_body(std::size_t max);
  void write_body(std::size_t length, OutputQueue& output);

  bool half_received() const { return reader_.half_received(); }
  // Bytes that it keeps in memory.
  std::size_t held() const;

 private:
  void take(std::string_view message);

  // Constant after construction.
  Connection& connection_;
  const std::int32_t id_;
  const Method& method_;

  // In.
  Metadata metadata_;  // until the handler is made
  MessageReader reader_;
  std::optional<std::string> request_;  // Requests::kOne: the message, until the half-close
  std::unique_ptr<boost::asio::steady_timer> deadline_;

  // Out.
  Frame waiting_;  // newest wins
  Frame sending_;  // has begun to go out
  std::size_t sent_ = 0;
  std::size_t in_transit_ = 0;  // messages that have begun and are not with the kernel
  bool replying_ = false;       // headers submitted
  bool idle_ = false;           // nghttp2 waits for resume()
  std::optional<Status> status_;

  std::unique_ptr<CallHandler> handler_;  // last: destroyed first, for it uses all of the above
};

}  // namespace nodepilot
