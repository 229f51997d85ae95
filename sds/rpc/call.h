// One gRPC call as the APIs see it, and how an API answers it. Knows nothing of HTTP/2.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "attest/peer.h"

namespace google::protobuf {
class MessageLite;
}

namespace nodepilot {

// A reply ready for the wire: gRPC's five-byte prefix and the serialised message. Shared, so that
// equal replies to many streams cost one buffer.
struct Frame {
  std::shared_ptr<const std::string> bytes;
  // It holds a private key: goes out only in a turn in which the peer was found to be itself.
  bool secret = false;
};
Frame make_frame(const google::protobuf::MessageLite& message, bool secret = false);

// How a call ended. kOk with an empty message is success.
struct Status {
  Code code = Code::kOk;
  std::string message;

  Status() = default;
  Status(Code c, std::string m) : code(c), message(std::move(m)) {}
  explicit(false) Status(const Error& error) : code(error.code), message(error.message) {}
};

// Lower-case names; binary values ("-bin") still in base64. Names may repeat.
struct Metadata {
  std::vector<std::pair<std::string, std::string>> fields;

  std::vector<std::string_view> all(std::string_view name) const;
};

// The server's side of one call. Owned by its connection; valid as long as its handler lives.
// Thread: loop.
class Call {
 public:
  virtual ~Call() = default;

  virtual std::shared_ptr<const Peer> peer() const = 0;
  // What the client sent with the call. Only for Method::open: it is not kept.
  virtual const Metadata& metadata() const = 0;

  // Sends a message. If an earlier one still waits for the client to read, this replaces it:
  // newest wins, nothing queues. No-op after finish().
  virtual void send(Frame frame) = 0;

  // Ends the call; a message given to send() before goes out first. The handler is destroyed on a
  // later turn of the loop, never inside this.
  virtual void finish(Status status) = 0;

  // Drops the whole connection: its peer is no longer who it was. `reason` goes to the log.
  virtual void disconnect(std::string reason) = 0;
};

// An API's side of one call. Destroyed when the call is over, for whatever reason: finished,
// cancelled by the client, deadline, connection gone. Thread: loop.
class CallHandler {
 public:
  virtual ~CallHandler() = default;

  // One request message, without prefix. For Requests::kOne it runs exactly once.
  virtual void on_message(std::string_view message) = 0;
  // The client sends no more (only Requests::kMany). Default: finish with kOk.
  virtual void on_half_close(Call& call) { call.finish(Status()); }
  // The newest message given to send() has gone to the kernel; the next will replace nothing.
  virtual void on_sent() {}
  // The process is no longer who it was when it connected; `why` is for the operator. Yields what
  // to end the call with; nothing else of it goes out.
  virtual Status on_peer_changed([[maybe_unused]] const Error& why) {
    return {Code::kUnavailable, "this process is no longer the one that connected"};
  }
  // Bytes that the client makes it keep besides what it gave to send(). They count against the
  // budget of the connection's uid; a call that brings more when that is spent is refused.
  virtual std::size_t held() const { return 0; }
};

// One RPC that a listener serves.
struct Method {
  enum class Requests { kOne, kMany };

  std::string path;  // "/SpiffeWorkloadAPI/FetchX509SVID"
  Requests requests = Requests::kOne;
  std::size_t max_request_bytes = std::size_t{16} * 1024;
  // Begins a call: headers are complete, no message has come. May finish() the call at once.
  std::function<std::unique_ptr<CallHandler>(Call&)> open;
};
using Methods = std::vector<Method>;

}  // namespace nodepilot
