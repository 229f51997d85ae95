#include "agent/bundle_endpoint.h"

namespace nodepilot {

expected<std::unique_ptr<BundleEndpoint>> BundleEndpoint::open(Loop& loop,
                                                               HttpServer::Options options,
                                                               std::string path) {
  std::unique_ptr<BundleEndpoint> endpoint(new BundleEndpoint(std::move(path)));
  options.name = "bundle endpoint";
  endpoint->server_ = TRY(HttpServer::open(
      loop, std::move(options),
      [raw = endpoint.get()](std::string_view target) { return raw->answer(target); }));
  return endpoint;
}

std::optional<HttpAnswer> BundleEndpoint::answer(std::string_view target) const {
  if (target != path_) return std::nullopt;
  if (!document_) {
    return HttpAnswer{
        .status = 503, .body = "no bundle yet\n", .retry_after = std::chrono::seconds(5)};
  }
  return HttpAnswer{.body = *document_, .type = "application/json"};
}

}  // namespace nodepilot
