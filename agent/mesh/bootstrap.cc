#include "agent/mesh/bootstrap.h"

#include <google/protobuf/util/json_util.h>

#include <utility>

#include "agent/mesh/inbound.h"
#include "agent/mesh/outbound.h"

namespace nodepilot::mesh {
namespace core = envoy::config::core::v3;
namespace {

envoy::config::cluster::v3::Cluster agent_cluster(const Surroundings& surroundings) {
  auto out = cluster_named(kAgentCluster);
  out.mutable_connect_timeout()->set_seconds(1);
  add_endpoint(out, pipe_to(surroundings.agent_socket));
  set_http(out, Protocol::kHttp2);
  return out;
}

core::Address address_of(const AdminAddress& admin) {
  if (const auto* socket = std::get_if<SocketAddress>(&admin)) return mesh::address_of(*socket);
  return pipe_to(std::get<std::filesystem::path>(admin));
}

}  // namespace

expected<Resources> render(const Surroundings& surroundings, const Policy& policy,
                           const std::string& root_namespace, const Workload& workload) {
  Resources out;
  for (const Port& port : workload.ports) {
    Verdict verdict = policy.peers.resolve(workload.name_space, workload.labels, port.port);
    out.listeners.push_back(inbound_listener(surroundings, port, verdict.mode));
    out.clusters.push_back(inbound_cluster(port));
  }
  for (const Service& service : workload.services) {
    const DestinationRule* rule = find_rule(policy.rules, service.host, workload.name_space,
                                            service.name_space, root_namespace);
    auto cluster = TRY(outbound_cluster(surroundings, policy.peers, service, rule));
    out.clusters.push_back(std::move(cluster));
    out.listeners.push_back(outbound_listener(service));
  }
  return out;
}

envoy::config::bootstrap::v3::Bootstrap bootstrap(const Surroundings& surroundings,
                                                  const Workload& workload, Resources resources) {
  envoy::config::bootstrap::v3::Bootstrap out;
  out.mutable_node()->set_id(workload.name);
  out.mutable_node()->set_cluster(workload.name);
  if (!surroundings.aliases.empty()) {
    // The SPIFFE validator knows the roots by one name of the trust domain only.
    auto& fields = *out.mutable_node()->mutable_metadata()->mutable_fields();
    fields["disable_spiffe_cert_validation"].set_bool_value(true);
  }
  if (workload.admin) *out.mutable_admin()->mutable_address() = address_of(*workload.admin);
  auto& statics = *out.mutable_static_resources();
  *statics.add_clusters() = agent_cluster(surroundings);
  for (auto& cluster : resources.clusters) *statics.add_clusters() = std::move(cluster);
  for (auto& listener : resources.listeners) *statics.add_listeners() = std::move(listener);
  return out;
}

envoy::config::bootstrap::v3::Bootstrap live_bootstrap(const Surroundings& surroundings,
                                                       const Workload& workload) {
  auto out = bootstrap(surroundings, workload, {});
  *out.mutable_dynamic_resources()->mutable_lds_config() = from_agent();
  *out.mutable_dynamic_resources()->mutable_cds_config() = from_agent();
  return out;
}

expected<std::string> to_json(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  std::string text;
  auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
  if (status.ok()) return text;
  return fail(Code::kInternal,
              "render " + message.GetTypeName() + " as JSON: " + status.ToString());
}

}  // namespace nodepilot::mesh
