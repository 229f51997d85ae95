// Answers GET and HEAD on a TCP port, over HTTP or HTTPS, to anybody. The network is hostile: one
// request for each connection, and every connection has little time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/loop.h"
#include "rotation/https/tls.h"

namespace nodepilot {

struct HttpAnswer {
  unsigned status = 200;
  std::string body{};
  std::string type = "text/plain";
  std::chrono::seconds retry_after{0};  // 0: not told
};

// Thread: loop.
class HttpServer {
 public:
  struct Options {
    std::string name{};                           // of this server in errors: "bundle endpoint"
    std::string address{};                        // IPv4 or IPv6
    std::uint16_t port = 0;                       // 0: one that is free
    std::size_t max_connections = 128;            // beyond it the oldest is closed
    std::size_t new_per_second = 50;              // beyond it newcomers wait
    Duration timeout = std::chrono::seconds(10);  // of a connection, from first to last
  };

  // What is at a request's target, "/path?query"; empty if nothing is. Runs until the server's end.
  using Pages = std::function<std::optional<HttpAnswer>(std::string_view target)>;

  // Listens at once; accepts from the first serve() on. Errors name the address.
  static expected<std::unique_ptr<HttpServer>> open(Loop& loop, Options options, Pages pages);

  // Closes everything.
  virtual ~HttpServer() = default;

  // New connections are shown the certificate of `tls`; if it is null, they are in the clear.
  virtual void serve(std::shared_ptr<TlsContext> tls) = 0;

  virtual std::uint16_t port() const = 0;
};

}  // namespace nodepilot
