// A gRPC client for tests, on libnghttp2: one connection, many calls. It runs on the thread of the
// server under test: pump() does what can be done without blocking.
#pragma once

#include <nghttp2/nghttp2.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "test/rpc/unix_client.h"

namespace nodepilot {

// gRPC's prefix and the message.
std::string framed(std::string_view message, char flags = 0);

class H2Client {
 public:
  using Headers = std::vector<std::pair<std::string, std::string>>;

  struct Options {
    std::uint32_t window = 65535;  // of each stream
    bool opens_window = true;      // false: what was received is never credited back
    bool acks_settings = true;
  };

  // What has come back for one call.
  struct Call {
    std::map<std::string, std::string> headers;
    std::map<std::string, std::string> trailers;  // trailers-only: the same as headers
    std::vector<std::string> messages;
    std::string partial;
    int data_frames = 0;
    bool closed = false;
    std::uint32_t error = 0;  // of RST_STREAM

    // -1: no status came.
    int status() const;
    std::string message() const;
  };

  explicit H2Client(const std::filesystem::path& path) : H2Client(path, Options()) {}
  H2Client(const std::filesystem::path& path, Options options);

  // Begins a call; `headers` are added to, or replace, those that gRPC asks for.
  std::int32_t start(const std::string& path, const Headers& headers = {});
  // Sends bytes as they are.
  void send(std::int32_t stream, std::string_view bytes, bool end = false);
  // start() and send() of one message, then the half-close.
  std::int32_t call(const std::string& path, std::string_view message, const Headers& headers = {});
  void cancel(std::int32_t stream);
  void open_window(std::int32_t stream, std::int32_t bytes);
  void ping();

  void pump();

  const Call& operator[](std::int32_t stream) { return calls_[stream]; }
  UnixClient& socket() { return socket_; }
  bool closed() const { return socket_.closed(); }
  std::optional<std::uint32_t> goaway() const { return goaway_; }
  int pongs() const { return pongs_; }

 private:
  struct Upload {
    std::string bytes;
    bool end = false;
    bool idle = false;
  };
  struct Callbacks;

  UnixClient socket_;
  std::map<std::int32_t, Call> calls_;
  std::map<std::int32_t, Upload> uploads_;
  std::optional<std::uint32_t> goaway_;
  int pongs_ = 0;
  std::unique_ptr<nghttp2_session, void (*)(nghttp2_session*)> session_{nullptr,
                                                                        nghttp2_session_del};
};

}  // namespace nodepilot
