// One connection of a load: opens gRPC calls, counts what comes back and keeps none of it. Light
// enough for thousands of them on one thread.
#pragma once

#include <nghttp2/nghttp2.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/fd.h"

namespace nodepilot {

// What a call sends.
struct Request {
  std::string path;
  std::vector<std::pair<std::string, std::string>> headers{};
  std::string message;
  // Made of each message that comes, if set: what the client says to it. The call then stays open
  // for more of them; else it is half-closed after `message`.
  std::string (*answer)(std::string_view message) = nullptr;
};

class LoadClient {
 public:
  // Null, with errno set, if the server does not take the connection (EAGAIN: not now).
  static std::unique_ptr<LoadClient> connect(const std::string& path);
  LoadClient(const LoadClient&) = delete;
  LoadClient& operator=(const LoadClient&) = delete;
  ~LoadClient();

  // `request` outlives the call.
  void call(const Request& request);
  // Ends every open call.
  void cancel();

  // Writes what the socket takes. False: the server has closed the connection.
  bool flush();
  // The same, and reads what it has.
  bool pump();

  int fd() const { return socket_.get(); }
  // Of all calls, so far.
  std::size_t messages() const { return messages_; }
  // Calls that have ended, by gRPC status; -1 stands for a reset.
  const std::map<int, std::size_t>& statuses() const { return statuses_; }
  std::size_t open_calls() const { return calls_.size(); }

  std::size_t mark = 0;  // for whoever drives it

 private:
  struct Call {
    explicit Call(const Request& asked) : request(asked) {}

    const Request& request;
    std::string out;
    bool idle = false;                     // nghttp2 waits for more to send
    std::array<std::uint8_t, 5> prefix{};  // of the message that comes in
    std::size_t prefix_size = 0;
    std::size_t left = 0;
    std::string text;  // of that message, if it will be answered
    int status = -1;
  };
  struct Callbacks;

  explicit LoadClient(Fd socket);
  void receive(std::int32_t stream, Call& call, std::string_view bytes);

  Fd socket_;
  std::map<std::int32_t, Call> calls_;
  std::string unsent_;
  std::size_t messages_ = 0;
  std::map<int, std::size_t> statuses_;
  std::unique_ptr<nghttp2_session, void (*)(nghttp2_session*)> session_{nullptr,
                                                                        nghttp2_session_del};
};

}  // namespace nodepilot
