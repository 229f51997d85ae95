#include "agent/mesh/discovery_session.h"

namespace nodepilot::mesh {

expected<DiscoverySession::Verdict> DiscoverySession::on_request(const Request& request) {
  if (!request.type_url().empty() && request.type_url() != type_) {
    return fail(Code::kInvalidArgument, "type_url must be " + type_ + " or left out");
  }
  // The first request may carry version and nonce of a stream that broke: they mean nothing here.
  if (!started_) {
    started_ = true;
    return Verdict::kSubscription;
  }
  if (nonce_.empty() || request.response_nonce() != nonce_) return Verdict::kStale;
  return request.has_error_detail() ? Verdict::kNack : Verdict::kAck;
}

std::optional<DiscoverySession::Response> DiscoverySession::next() {
  if (!started_ || under_way_ || !latest_ || latest_->version == told_) return std::nullopt;
  under_way_ = true;
  told_ = latest_->version;
  nonce_ = make_nonce_();
  Response response;
  response.set_version_info(told_);
  response.set_type_url(type_);
  response.set_nonce(nonce_);
  for (const auto& resource : latest_->resources) *response.add_resources() = resource;
  return response;
}

}  // namespace nodepilot::mesh
