// Field numbers and types of Envoy's configuration and access log, on bytes written by hand: a
// change in our own .proto files that Envoy would not understand, or would pass over, fails here.
#include <doctest/doctest.h>

#include <string>

#include "proto/envoy/als.pb.h"
#include "proto/envoy/bootstrap.pb.h"
#include "proto/envoy/cds.pb.h"
#include "proto/envoy/grpc_access_logger.pb.h"
#include "proto/envoy/http_connection_manager.pb.h"
#include "proto/envoy/http_inspector.pb.h"
#include "proto/envoy/http_protocol_options.pb.h"
#include "proto/envoy/lds.pb.h"
#include "proto/envoy/raw_buffer.pb.h"
#include "proto/envoy/router.pb.h"
#include "proto/envoy/tcp_proxy.pb.h"
#include "proto/envoy/tls.pb.h"
#include "proto/envoy/tls_inspector.pb.h"

namespace nodepilot {
namespace {

namespace core = envoy::config::core::v3;
namespace ext = envoy::extensions;
namespace tls = envoy::extensions::transport_sockets::tls::v3;

std::string number(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7U) out += static_cast<char>((value & 0x7fU) | 0x80U);
  return out + static_cast<char>(value);
}

// A length-delimited field.
std::string field(unsigned at, const std::string& payload) {
  return number(at << 3U | 2U) + number(payload.size()) + payload;
}
std::string varint(unsigned at, std::uint64_t value) { return number(at << 3U) + number(value); }

// Of a map of texts to messages.
std::string pair(const std::string& key, const std::string& value) {
  return field(1, key) + field(2, value);
}

// Our message is these bytes and nothing else: no field of them is unknown to it, for what is
// unknown would be written last.
template <class Message>
Message parse(const std::string& bytes) {
  Message message;
  REQUIRE(message.ParseFromString(bytes));
  CHECK(message.GetReflection()->GetUnknownFields(message).empty());
  CHECK(message.SerializeAsString() == bytes);
  return message;
}

const std::string kAny = field(1, "type") + field(2, "value");
const std::string kSocketAddress = field(1, field(2, "10.0.0.9") + varint(3, 8080));
const std::string kPipe = field(2, field(1, "/run/a"));
const std::string kGrpcService = field(1, field(1, "nodepilot"));
const std::string kTransportSocket = field(1, "tls") + field(3, kAny);
const std::string kDuration = varint(1, 5);

TEST_CASE("addresses have Envoy's numbers, and port 0 is written") {
  CHECK(parse<core::Address>(kSocketAddress).socket_address().address() == "10.0.0.9");
  CHECK(parse<core::Address>(kSocketAddress).socket_address().port_value() == 8080);
  CHECK(parse<core::Address>(kPipe).pipe().path() == "/run/a");
  CHECK(parse<core::Address>(field(1, varint(3, 0))).socket_address().port_value() == 0);
}

TEST_CASE("a source of configuration has Envoy's numbers") {
  auto source = parse<core::ConfigSource>(
      field(2, varint(1, 2) + field(4, kGrpcService) + varint(7, 1) + varint(8, 2)) +
      field(4, kDuration) + varint(6, 2));

  const auto& api = source.api_config_source();
  CHECK(api.api_type() == core::ApiConfigSource::GRPC);
  CHECK(api.grpc_services(0).envoy_grpc().cluster_name() == "nodepilot");
  CHECK(api.set_node_on_first_message_only());
  CHECK(api.transport_api_version() == core::V3);
  CHECK(source.initial_fetch_timeout().seconds() == 5);
  CHECK(source.resource_api_version() == core::V3);
}

TEST_CASE("a bootstrap has Envoy's numbers") {
  auto bootstrap = parse<envoy::config::bootstrap::v3::Bootstrap>(
      field(1, field(1, "web")) + field(2, field(1, field(1, "in")) + field(2, field(1, "out"))) +
      field(3, field(1, varint(6, 2)) + field(2, varint(6, 2))) + field(12, field(3, kPipe)));

  CHECK(bootstrap.node().id() == "web");
  CHECK(bootstrap.static_resources().listeners(0).name() == "in");
  CHECK(bootstrap.static_resources().clusters(0).name() == "out");
  CHECK(bootstrap.dynamic_resources().lds_config().resource_api_version() == core::V3);
  CHECK(bootstrap.dynamic_resources().cds_config().resource_api_version() == core::V3);
  CHECK(bootstrap.admin().address().pipe().path() == "/run/a");
}

TEST_CASE("a listener has Envoy's numbers") {
  const std::string chain = field(1, field(9, "tls") + field(10, "istio")) +
                            field(3, field(1, "filter") + field(4, kAny)) +
                            field(6, kTransportSocket) + field(7, "chain");
  auto listener = parse<envoy::config::listener::v3::Listener>(
      field(1, "in") + field(2, kSocketAddress) + field(3, chain) +
      field(9, field(1, "inspector") + field(3, kAny)) + field(15, kDuration) + varint(16, 1) +
      varint(17, 1) + field(28, "prefix"));

  CHECK(listener.name() == "in");
  CHECK(listener.address().socket_address().port_value() == 8080);
  CHECK(listener.filter_chains(0).filter_chain_match().transport_protocol() == "tls");
  CHECK(listener.filter_chains(0).filter_chain_match().application_protocols(0) == "istio");
  CHECK(listener.filter_chains(0).filters(0).typed_config().value() == "value");
  CHECK(listener.filter_chains(0).transport_socket().typed_config().value() == "value");
  CHECK(listener.filter_chains(0).name() == "chain");
  CHECK(listener.listener_filters(0).typed_config().value() == "value");
  CHECK(listener.listener_filters_timeout().seconds() == 5);
  CHECK(listener.traffic_direction() == core::INBOUND);
  CHECK(listener.continue_on_listener_filters_timeout());
  CHECK(listener.stat_prefix() == "prefix");
}

TEST_CASE("a cluster has Envoy's numbers") {
  const std::string match = field(1, field(1, "tlsMode") + field(2, field(3, "istio")));
  const std::string endpoint =
      field(1, field(1, kSocketAddress)) + field(3, field(1, pair("space", match)));
  auto cluster = parse<envoy::config::cluster::v3::Cluster>(
      field(1, "out") + varint(2, 0) + field(4, kDuration) + field(24, kTransportSocket) +
      field(33, field(1, "out") + field(2, field(2, endpoint))) + field(36, pair("options", kAny)) +
      field(43, field(1, "mtls") + field(2, match) + field(3, kTransportSocket)));

  CHECK(cluster.name() == "out");
  CHECK(cluster.type() == envoy::config::cluster::v3::Cluster::STATIC);
  CHECK(cluster.connect_timeout().seconds() == 5);
  CHECK(cluster.transport_socket().name() == "tls");
  CHECK(cluster.load_assignment().cluster_name() == "out");
  const auto& to = cluster.load_assignment().endpoints(0).lb_endpoints(0);
  CHECK(to.endpoint().address().socket_address().address() == "10.0.0.9");
  const auto& metadata = to.metadata().filter_metadata().at("space");
  CHECK(metadata.fields().at("tlsMode").string_value() == "istio");
  CHECK(cluster.typed_extension_protocol_options().at("options").value() == "value");
  CHECK(cluster.transport_socket_matches(0).name() == "mtls");
  CHECK(cluster.transport_socket_matches(0).match().fields().count("tlsMode") == 1);
  CHECK(cluster.transport_socket_matches(0).transport_socket().name() == "tls");
}

TEST_CASE("which HTTP a cluster speaks has Envoy's numbers") {
  using Options = ext::upstreams::http::v3::HttpProtocolOptions;
  CHECK(parse<Options>(field(3, field(1, ""))).explicit_http_config().has_http_protocol_options());
  CHECK(parse<Options>(field(3, field(2, field(15, field(1, kDuration) + field(2, kDuration)))))
            .explicit_http_config()
            .http2_protocol_options()
            .connection_keepalive()
            .timeout()
            .seconds() == 5);
  auto follows = parse<Options>(field(4, field(1, "") + field(2, "")));
  CHECK(follows.use_downstream_protocol_config().has_http_protocol_options());
  CHECK(follows.use_downstream_protocol_config().has_http2_protocol_options());
}

const std::string kLog =
    field(1, "log") + field(2, field(13, field(1, number(4) + number(3)))) + field(4, kAny);

TEST_CASE("the filter that speaks HTTP has Envoy's numbers") {
  const std::string route = field(1, field(1, "/")) + field(2, field(1, "app") + field(8, ""));
  const std::string routes =
      field(1, "routes") + field(2, field(1, "host") + field(2, "*") + field(3, route));
  auto http = parse<ext::filters::network::http_connection_manager::v3::HttpConnectionManager>(
      field(2, "prefix") + field(4, routes) + field(5, field(1, "router") + field(4, kAny)) +
      field(13, kLog) + varint(16, 3) + field(17, varint(5, 1)) + field(23, field(1, "websocket")) +
      field(56, varint(2, 1)));

  CHECK(http.stat_prefix() == "prefix");
  const auto& host = http.route_config().virtual_hosts(0);
  CHECK(http.route_config().name() == "routes");
  CHECK(host.name() == "host");
  CHECK(host.domains(0) == "*");
  CHECK(host.routes(0).match().prefix() == "/");
  CHECK(host.routes(0).route().cluster() == "app");
  CHECK(host.routes(0).route().has_timeout());
  CHECK(http.http_filters(0).typed_config().value() == "value");
  CHECK(http.access_log(0).name() == "log");
  CHECK(http.forward_client_cert_details() == http.SANITIZE_SET);
  CHECK(http.set_current_client_cert_details().uri());
  CHECK(http.upgrade_configs(0).upgrade_type() == "websocket");
  CHECK(http.access_log_options().flush_access_log_on_new_request());
}

TEST_CASE("the filter that passes bytes on has Envoy's numbers") {
  auto tcp = parse<ext::filters::network::tcp_proxy::v3::TcpProxy>(
      field(1, "prefix") + field(2, "app") + field(5, kLog) + field(17, varint(2, 1)));

  CHECK(tcp.stat_prefix() == "prefix");
  CHECK(tcp.cluster() == "app");
  CHECK(tcp.access_log(0).typed_config().value() == "value");
  CHECK(tcp.access_log_options().flush_access_log_on_connected());
}

TEST_CASE("an access log to a gRPC service has Envoy's numbers") {
  using namespace envoy::data::accesslog::v3;
  auto log = parse<envoy::config::accesslog::v3::AccessLog>(kLog);
  CHECK(log.filter().log_type_filter().types(0) == DownstreamStart);
  CHECK(log.filter().log_type_filter().types(1) == TcpConnectionEnd);

  auto config = parse<ext::access_loggers::grpc::v3::TcpGrpcAccessLogConfig>(
      field(1, field(1, "plaintext") + field(2, kGrpcService) + varint(6, 2)));
  CHECK(config.common_config().log_name() == "plaintext");
  CHECK(config.common_config().grpc_service().envoy_grpc().cluster_name() == "nodepilot");
  CHECK(config.common_config().transport_api_version() == core::V3);
}

TEST_CASE("what Envoy reports has Envoy's numbers") {
  const std::string common = field(3, kSocketAddress) + field(20, kSocketAddress) + varint(33, 1);
  auto message = parse<envoy::service::accesslog::v3::StreamAccessLogsMessage>(
      field(1, field(1, field(1, "web")) + field(2, "plaintext")) +
      field(3, field(1, field(1, common))));

  CHECK(message.identifier().node().id() == "web");
  CHECK(message.identifier().log_name() == "plaintext");
  const auto& told = message.tcp_logs().log_entry(0).common_properties();
  CHECK(told.downstream_local_address().socket_address().port_value() == 8080);
  CHECK(told.downstream_direct_remote_address().socket_address().address() == "10.0.0.9");
  CHECK(told.access_log_type() == envoy::data::accesslog::v3::TcpUpstreamConnected);
}

TEST_CASE("contexts of TLS have Envoy's numbers") {
  const std::string secret = field(1, "default") + field(2, varint(6, 2));
  const std::string common =
      field(1, varint(1, 3) + varint(2, 4) + field(3, "AES128-GCM-SHA256")) + field(4, "istio") +
      field(6, secret) +
      field(8, field(1, field(15, varint(1, 3) + field(2, field(1, "a")))) + field(2, secret));
  auto inbound = parse<tls::DownstreamTlsContext>(field(1, common) + field(2, varint(1, 1)));
  auto outbound = parse<tls::UpstreamTlsContext>(field(1, common) + field(2, "sni"));

  CHECK(inbound.require_client_certificate().value());
  CHECK(outbound.sni() == "sni");
  const auto& told = inbound.common_tls_context();
  CHECK(told.tls_params().tls_minimum_protocol_version() == tls::TlsParameters::TLSv1_2);
  CHECK(told.tls_params().tls_maximum_protocol_version() == tls::TlsParameters::TLSv1_3);
  CHECK(told.tls_params().cipher_suites(0) == "AES128-GCM-SHA256");
  CHECK(told.alpn_protocols(0) == "istio");
  CHECK(told.tls_certificate_sds_secret_configs(0).name() == "default");
  const auto& roots = told.combined_validation_context();
  CHECK(roots.validation_context_sds_secret_config().sds_config().resource_api_version() ==
        core::V3);
  CHECK(roots.default_validation_context().match_typed_subject_alt_names(0).san_type() ==
        tls::SubjectAltNameMatcher::URI);
}

// Any names a type by it.
TEST_CASE("packed types and services have Envoy's names") {
  auto name = [](const google::protobuf::Message& message) { return message.GetTypeName(); };
  const std::string filters = "envoy.extensions.filters.";
  CHECK(name(ext::filters::http::router::v3::Router()) == filters + "http.router.v3.Router");
  CHECK(name(ext::filters::listener::tls_inspector::v3::TlsInspector()) ==
        filters + "listener.tls_inspector.v3.TlsInspector");
  CHECK(name(ext::filters::listener::http_inspector::v3::HttpInspector()) ==
        filters + "listener.http_inspector.v3.HttpInspector");
  CHECK(name(ext::filters::network::tcp_proxy::v3::TcpProxy()) ==
        filters + "network.tcp_proxy.v3.TcpProxy");
  CHECK(name(ext::filters::network::http_connection_manager::v3::HttpConnectionManager()) ==
        filters + "network.http_connection_manager.v3.HttpConnectionManager");
  CHECK(name(ext::access_loggers::grpc::v3::TcpGrpcAccessLogConfig()) ==
        "envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig");
  CHECK(name(ext::upstreams::http::v3::HttpProtocolOptions()) ==
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions");
  CHECK(name(ext::transport_sockets::raw_buffer::v3::RawBuffer()) ==
        "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer");
  CHECK(name(tls::DownstreamTlsContext()) ==
        "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext");
  CHECK(name(tls::UpstreamTlsContext()) ==
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext");
  CHECK(name(envoy::config::listener::v3::Listener()) == "envoy.config.listener.v3.Listener");
  CHECK(name(envoy::config::cluster::v3::Cluster()) == "envoy.config.cluster.v3.Cluster");

  auto method = [](const google::protobuf::Message& of_file) {
    return of_file.GetDescriptor()->file()->service(0)->method(0)->full_name();
  };
  CHECK(method(envoy::service::listener::v3::LdsDummy()) ==
        "envoy.service.listener.v3.ListenerDiscoveryService.StreamListeners");
  CHECK(method(envoy::service::cluster::v3::CdsDummy()) ==
        "envoy.service.cluster.v3.ClusterDiscoveryService.StreamClusters");
  CHECK(method(envoy::service::accesslog::v3::StreamAccessLogsResponse()) ==
        "envoy.service.accesslog.v3.AccessLogService.StreamAccessLogs");
}

}  // namespace
}  // namespace nodepilot
