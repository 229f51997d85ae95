// Serves one document over HTTPS to anybody: our trust domain's bundle (SPIFFE Federation
// 5.2.1.3, 5.2.2.3). GET and HEAD of one path, no client authentication. The network is hostile:
// one request for each connection, and every connection has little time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "agent/base/loop.h"
#include "rotation/https/tls.h"

namespace nodepilot {

// Thread: loop.
class BundleEndpoint {
 public:
  struct Options {
    std::string address{};   // IPv4 or IPv6
    std::uint16_t port = 0;  // 0: one that is free
    std::string path = "/";
    std::size_t max_connections = 128;            // beyond it the oldest is closed
    std::size_t new_per_second = 50;              // beyond it newcomers wait; handshakes cost CPU
    Duration timeout = std::chrono::seconds(10);  // of a connection, from first to last
  };

  // Listens at once; serves from the first show() on. Errors name the address.
  static expected<std::unique_ptr<BundleEndpoint>> open(Loop& loop, Options options);

  // Closes everything.
  virtual ~BundleEndpoint() = default;

  // New connections are shown the certificate of `tls`.
  virtual void show(std::shared_ptr<TlsContext> tls) = 0;

  // What is served from now on; 503 before.
  virtual void publish(std::string document) = 0;

  virtual std::uint16_t port() const = 0;
};

}  // namespace nodepilot
