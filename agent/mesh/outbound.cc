#include "agent/mesh/outbound.h"

#include <algorithm>

#include "agent/mesh/network_filters.h"
#include "agent/mesh/tls_context.h"

namespace nodepilot::mesh {
namespace core = envoy::config::core::v3;
namespace cluster = envoy::config::cluster::v3;
namespace {

constexpr const char* kMatchSpace = "envoy.transport_socket_match";
constexpr const char* kMatchKey = "tlsMode";
constexpr const char* kMatchValue = "istio";

std::string name_of(const Service& service) {
  return "outbound_" + std::to_string(service.port) + "_" + service.host;
}

bool takes_mutual_tls(const PolicySet& policies, const Service& service, const Endpoint& endpoint) {
  if (!endpoint.has_proxy) return false;
  Verdict own = policies.resolve(service.name_space, endpoint.labels, endpoint.port);
  return own.mode != MtlsMode::kDisable;
}

void add_match(cluster::Cluster& out, const char* name, core::TransportSocket socket) {
  auto* match = out.add_transport_socket_matches();
  match->set_name(name);
  match->mutable_match();
  *match->mutable_transport_socket() = std::move(socket);
}

expected<void> set_auto_tls(const Surroundings& surroundings, const PolicySet& policies,
                            const Service& service, cluster::Cluster& out) {
  if (policies.suppose(service.name_space).mode == MtlsMode::kDisable) return {};
  bool any = false;
  for (std::size_t i = 0; i < service.endpoints.size(); ++i) {
    if (!takes_mutual_tls(policies, service, service.endpoints[i])) continue;
    any = true;
    auto* endpoint = out.mutable_load_assignment()->mutable_endpoints(0)->mutable_lb_endpoints(
        static_cast<int>(i));
    auto& match = (*endpoint->mutable_metadata()->mutable_filter_metadata())[kMatchSpace];
    (*match.mutable_fields())[kMatchKey].set_string_value(kMatchValue);
  }
  if (!any) return {};
  add_match(out, "mutual_tls", TRY(istio_mutual_tls(surroundings, service)));
  auto& fields = *out.mutable_transport_socket_matches(0)->mutable_match()->mutable_fields();
  fields[kMatchKey].set_string_value(kMatchValue);
  add_match(out, "plaintext", plaintext());
  return {};
}

expected<void> set_tls(const Surroundings& surroundings, const Service& service,
                       const ClientTls& tls, cluster::Cluster& out) {
  switch (tls.mode) {
    case ClientTlsMode::kDisable:
      return {};
    case ClientTlsMode::kIstioMutual:
      *out.mutable_transport_socket() = TRY(istio_mutual_tls(surroundings, service, tls));
      return {};
    case ClientTlsMode::kSimple:
    case ClientTlsMode::kMutual:
      *out.mutable_transport_socket() = foreign_tls(service, tls);
      return {};
  }
  return {};
}

}  // namespace

expected<cluster::Cluster> outbound_cluster(const Surroundings& surroundings,
                                            const PolicySet& policies, const Service& service,
                                            const DestinationRule* rule) {
  auto out = cluster_named(name_of(service));
  for (const Endpoint& endpoint : service.endpoints) {
    add_endpoint(out, address_of(endpoint.address));
  }
  set_http(out, service.protocol);
  const ClientTls* tls = rule == nullptr ? nullptr : rule->tls_for(service.port);
  if (tls != nullptr) {
    TRY(set_tls(surroundings, service, *tls, out));
  } else {
    TRY(set_auto_tls(surroundings, policies, service, out));
  }
  return out;
}

envoy::config::listener::v3::Listener outbound_listener(const Service& service) {
  envoy::config::listener::v3::Listener out;
  out.set_name(name_of(service));
  out.set_traffic_direction(core::OUTBOUND);
  *out.mutable_address() = address_of(service.listen);
  std::string cluster = name_of(service);
  *out.add_filter_chains()->add_filters() = service.protocol == Protocol::kTcp
                                                ? tcp_filter(cluster, cluster)
                                                : http_filter(cluster, cluster, false);
  return out;
}

}  // namespace nodepilot::mesh
