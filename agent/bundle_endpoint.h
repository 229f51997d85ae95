// Serves one document over HTTPS to anybody: our trust domain's bundle (SPIFFE Federation
// 5.2.1.3, 5.2.2.3). GET and HEAD of one path, no client authentication.
#pragma once

#include <memory>
#include <string>

#include "agent/http_server.h"

namespace nodepilot {

// Thread: loop.
class BundleEndpoint {
 public:
  // Listens at once; serves from the first show() on. Errors name the address.
  static expected<std::unique_ptr<BundleEndpoint>> open(Loop& loop, HttpServer::Options options,
                                                        std::string path = "/");

  // New connections are shown the certificate of `tls`.
  void show(std::shared_ptr<TlsContext> tls) { server_->serve(std::move(tls)); }

  // What is served from now on; 503 before.
  void publish(std::string document) { document_ = std::move(document); }

  std::uint16_t port() const { return server_->port(); }

 private:
  explicit BundleEndpoint(std::string path) : path_(std::move(path)) {}
  std::optional<HttpAnswer> answer(std::string_view target) const;

  const std::string path_;
  std::optional<std::string> document_;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace nodepilot
