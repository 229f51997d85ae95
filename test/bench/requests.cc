#include "test/bench/requests.h"

#include "proto/envoy/discovery.pb.h"
#include "proto/nodepilot/admin.pb.h"
#include "proto/spiffe/workload.pb.h"

namespace nodepilot {
namespace {

namespace discovery = envoy::service::discovery::v3;

constexpr const char* kSecretType =
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

Request workload(const std::string& method, const google::protobuf::MessageLite& message) {
  return {.path = "/SpiffeWorkloadAPI/" + method,
          .headers = {{"workload.spiffe.io", "true"}},
          .message = message.SerializeAsString()};
}

std::string acknowledge(std::string_view message) {
  discovery::DiscoveryResponse response;
  response.ParseFromArray(message.data(), static_cast<int>(message.size()));
  discovery::DiscoveryRequest request;
  request.set_version_info(response.version_info());
  request.set_response_nonce(response.nonce());
  request.set_type_url(response.type_url());
  return request.SerializeAsString();
}

}  // namespace

std::optional<Request> svid_stream(const std::string& api) {
  if (api == "workload") return workload("FetchX509SVID", X509SVIDRequest());
  if (api != "sds") return std::nullopt;
  discovery::DiscoveryRequest request;
  request.mutable_node()->set_id("load");
  request.set_type_url(kSecretType);
  return Request{.path = "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets",
                 .message = request.SerializeAsString(),
                 .answer = acknowledge};
}

std::optional<Request> single_call(const std::string& name) {
  if (name == "x509") return workload("FetchX509SVID", X509SVIDRequest());
  if (name == "jwt") {
    JWTSVIDRequest request;
    request.add_audience("load");
    return workload("FetchJWTSVID", request);
  }
  if (name != "validate") return std::nullopt;
  ValidateJWTSVIDRequest request;
  request.set_audience("load");
  request.set_svid("no.token.this");
  return workload("ValidateJWTSVID", request);
}

Request rotate_all() {
  admin::v1::RotateRequest request;
  request.set_all(true);
  return {.path = "/nodepilot.admin.v1.Admin/Rotate", .message = request.SerializeAsString()};
}

}  // namespace nodepilot
