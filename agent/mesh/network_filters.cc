#include "agent/mesh/network_filters.h"

#include "agent/mesh/envoy_parts.h"
#include "agent/mesh/plaintext_log.h"
#include "proto/envoy/http_connection_manager.pb.h"
#include "proto/envoy/http_inspector.pb.h"
#include "proto/envoy/router.pb.h"
#include "proto/envoy/tcp_proxy.pb.h"
#include "proto/envoy/tls_inspector.pb.h"

namespace nodepilot::mesh {
namespace listener = envoy::config::listener::v3;
namespace http = envoy::extensions::filters::network::http_connection_manager::v3;
namespace filters = envoy::extensions::filters;

listener::Filter http_filter(const std::string& stat_prefix, const std::string& cluster,
                             bool tells_peer, const char* log) {
  http::HttpConnectionManager manager;
  manager.set_stat_prefix(stat_prefix);
  auto* host = manager.mutable_route_config()->add_virtual_hosts();
  manager.mutable_route_config()->set_name(cluster);
  host->set_name(cluster);
  host->add_domains(std::string(1, '*'));
  auto* route = host->add_routes();
  route->mutable_match()->set_prefix("/");
  route->mutable_route()->set_cluster(cluster);
  route->mutable_route()->mutable_timeout();
  auto* router = manager.add_http_filters();
  router->set_name("envoy.filters.http.router");
  *router->mutable_typed_config() = pack(filters::http::router::v3::Router());
  manager.add_upgrade_configs()->set_upgrade_type("websocket");
  if (tells_peer) {
    manager.set_forward_client_cert_details(http::HttpConnectionManager::SANITIZE_SET);
    manager.mutable_set_current_client_cert_details()->set_uri(true);
  }
  if (log != nullptr) {
    // When a request begins: a stream may go on for days.
    manager.mutable_access_log_options()->set_flush_access_log_on_new_request(true);
    *manager.add_access_log() = log_to_agent(log, {envoy::data::accesslog::v3::DownstreamStart});
  }
  listener::Filter out;
  out.set_name("envoy.filters.network.http_connection_manager");
  *out.mutable_typed_config() = pack(manager);
  return out;
}

listener::Filter tcp_filter(const std::string& stat_prefix, const std::string& cluster,
                            const char* log) {
  filters::network::tcp_proxy::v3::TcpProxy proxy;
  proxy.set_stat_prefix(stat_prefix);
  proxy.set_cluster(cluster);
  if (log != nullptr) {
    proxy.mutable_access_log_options()->set_flush_access_log_on_connected(true);
    // The end, too: it is all that is said of who came while the application was away.
    *proxy.add_access_log() = log_to_agent(log, {envoy::data::accesslog::v3::TcpUpstreamConnected,
                                                 envoy::data::accesslog::v3::TcpConnectionEnd});
  }
  listener::Filter out;
  out.set_name("envoy.filters.network.tcp_proxy");
  *out.mutable_typed_config() = pack(proxy);
  return out;
}

listener::ListenerFilter tls_inspector() {
  listener::ListenerFilter out;
  out.set_name("envoy.filters.listener.tls_inspector");
  *out.mutable_typed_config() = pack(filters::listener::tls_inspector::v3::TlsInspector());
  return out;
}

listener::ListenerFilter http_inspector() {
  listener::ListenerFilter out;
  out.set_name("envoy.filters.listener.http_inspector");
  *out.mutable_typed_config() = pack(filters::listener::http_inspector::v3::HttpInspector());
  return out;
}

}  // namespace nodepilot::mesh
