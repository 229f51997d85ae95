// A client that writes and reads raw bytes, for tests. Never blocks.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "agent/base/fd.h"

namespace nodepilot {

class UnixClient {
 public:
  explicit UnixClient(const std::filesystem::path& path);

  // Queues bytes; pump() writes what the socket takes.
  void write(std::string_view bytes) { out_.append(bytes); }
  // Writes and reads what it can.
  void pump();

  bool closed() const { return closed_; }  // by the server
  const std::string& received() const { return in_; }
  std::string take_received() { return std::exchange(in_, {}); }
  std::size_t unsent() const { return out_.size(); }
  void stop_reading() { reads_ = false; }
  void resume_reading() { reads_ = true; }
  int fd() const { return socket_.get(); }
  void close() { socket_.reset(); }

 private:
  Fd socket_;
  std::string out_;
  std::string in_;
  bool reads_ = true;
  bool closed_ = false;
};

// Pieces of HTTP/2, for bytes that no decent client would send.
inline constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
enum FrameType : char {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kReset = 3,
  kSettings = 4,
  kPing = 6,
  kWindowUpdate = 8,
  kContinuation = 9,
};
inline constexpr char kEndStream = 1;
inline constexpr char kEndHeaders = 4;
std::string frame(FrameType type, char flags, int stream, std::string_view payload = {});
// What every client begins with: the preface and empty SETTINGS.
std::string greeting();
// A header field as HPACK literal without indexing.
std::string literal(std::string_view name, std::string_view value);
// The header block of a call of `path`.
std::string call_headers(std::string_view path);

}  // namespace nodepilot
