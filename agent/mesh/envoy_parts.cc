#include "agent/mesh/envoy_parts.h"

#include "proto/envoy/http_protocol_options.pb.h"

namespace nodepilot::mesh {
namespace core = envoy::config::core::v3;
namespace cluster = envoy::config::cluster::v3;

google::protobuf::Any pack(const google::protobuf::Message& message) {
  google::protobuf::Any any;
  any.PackFrom(message);
  return any;
}

core::Address address_of(const SocketAddress& address) {
  core::Address out;
  out.mutable_socket_address()->set_address(address.ip);
  out.mutable_socket_address()->set_port_value(address.port);
  return out;
}

core::Address pipe_to(const std::filesystem::path& path) {
  core::Address out;
  out.mutable_pipe()->set_path(path.string());
  return out;
}

cluster::Cluster cluster_named(const std::string& name) {
  cluster::Cluster out;
  out.set_name(name);
  out.set_type(cluster::Cluster::STATIC);
  out.mutable_connect_timeout()->set_seconds(5);
  out.mutable_load_assignment()->set_cluster_name(name);
  out.mutable_load_assignment()->add_endpoints();
  return out;
}

envoy::config::endpoint::v3::LbEndpoint* add_endpoint(cluster::Cluster& cluster,
                                                      core::Address address) {
  auto* out = cluster.mutable_load_assignment()->mutable_endpoints(0)->add_lb_endpoints();
  *out->mutable_endpoint()->mutable_address() = std::move(address);
  return out;
}

void set_http(cluster::Cluster& cluster, Protocol protocol) {
  envoy::extensions::upstreams::http::v3::HttpProtocolOptions options;
  switch (protocol) {
    case Protocol::kTcp:
      return;
    case Protocol::kHttp:
      options.mutable_explicit_http_config()->mutable_http_protocol_options();
      break;
    case Protocol::kHttp2:
      options.mutable_explicit_http_config()->mutable_http2_protocol_options();
      break;
    case Protocol::kAuto:
      options.mutable_use_downstream_protocol_config()->mutable_http_protocol_options();
      options.mutable_use_downstream_protocol_config()->mutable_http2_protocol_options();
      break;
  }
  (*cluster.mutable_typed_extension_protocol_options())[options.GetTypeName()] = pack(options);
}

core::ConfigSource from_agent() {
  core::ConfigSource out;
  auto* api = out.mutable_api_config_source();
  api->set_api_type(core::ApiConfigSource::GRPC);
  api->set_transport_api_version(core::V3);
  api->set_set_node_on_first_message_only(true);
  api->add_grpc_services()->mutable_envoy_grpc()->set_cluster_name(kAgentCluster);
  out.set_resource_api_version(core::V3);
  out.mutable_initial_fetch_timeout();  // 0 s: waits for ever, rather than run without a
                                        // certificate
  return out;
}

}  // namespace nodepilot::mesh
