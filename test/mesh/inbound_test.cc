#include "agent/mesh/inbound.h"

#include <algorithm>

#include "agent/mesh/plaintext_log.h"
#include "proto/envoy/grpc_access_logger.pb.h"
#include "proto/envoy/http_connection_manager.pb.h"
#include "proto/envoy/tcp_proxy.pb.h"
#include "test/mesh/kit.h"

namespace nodepilot::mesh {
namespace {

using testing::context_in;
using testing::surroundings;
using testing::words;

// A chain as it is rendered: "tls istio-h2 -> http, mtls".
std::string text_of(const envoy::config::listener::v3::FilterChain& chain) {
  std::string text = chain.filter_chain_match().transport_protocol();
  for (const auto& word : chain.filter_chain_match().application_protocols()) text += " " + word;
  bool is_http = chain.filters(0).name() == "envoy.filters.network.http_connection_manager";
  if (!is_http) CHECK(chain.filters(0).name() == "envoy.filters.network.tcp_proxy");
  return text + (is_http ? " -> http" : " -> tcp") + (chain.has_transport_socket() ? ", mtls" : "");
}

std::vector<std::string> chains(MtlsMode mode, Protocol protocol) {
  Port port{.port = 8080, .listen = "0.0.0.0", .app = {"127.0.0.1", 18080}, .protocol = protocol};
  std::vector<std::string> out;
  auto listener = inbound_listener(surroundings(), port, mode);
  for (const auto& chain : listener.filter_chains()) out.push_back(text_of(chain));
  return out;
}

// "plaintext DownstreamStart": what a chain reports to the agent, and when; "" if nothing.
std::string log_of(const envoy::config::listener::v3::FilterChain& chain) {
  namespace network = envoy::extensions::filters::network;
  network::http_connection_manager::v3::HttpConnectionManager http;
  network::tcp_proxy::v3::TcpProxy tcp;
  bool is_http = chain.filters(0).typed_config().UnpackTo(&http);
  REQUIRE((is_http || chain.filters(0).typed_config().UnpackTo(&tcp)));
  CHECK(http.access_log_options().flush_access_log_on_new_request() == !http.access_log().empty());
  CHECK(tcp.access_log_options().flush_access_log_on_connected() == !tcp.access_log().empty());
  const auto& logs = is_http ? http.access_log() : tcp.access_log();
  if (logs.empty()) return "";
  REQUIRE(logs.size() == 1);
  envoy::extensions::access_loggers::grpc::v3::TcpGrpcAccessLogConfig config;
  REQUIRE(logs[0].typed_config().UnpackTo(&config));
  std::string text = config.common_config().log_name();
  for (int type : logs[0].filter().log_type_filter().types()) {
    text += " " + envoy::data::accesslog::v3::AccessLogType_Name(type);
  }
  return text;
}

std::vector<std::string> logs(MtlsMode mode, Protocol protocol) {
  std::vector<std::string> out;
  auto listener =
      inbound_listener(surroundings(), {.port = 1, .app = {}, .protocol = protocol}, mode);
  for (const auto& chain : listener.filter_chains()) out.push_back(log_of(chain));
  return out;
}

std::vector<std::string> filters(MtlsMode mode, Protocol protocol) {
  std::vector<std::string> out;
  auto listener =
      inbound_listener(surroundings(), {.port = 1, .app = {}, .protocol = protocol}, mode);
  for (const auto& filter : listener.listener_filters()) out.push_back(filter.name());
  return out;
}

using Texts = std::vector<std::string>;
const std::string kH = "tls istio-http/1.0 istio-http/1.1 istio-h2";

TEST_CASE("STRICT has chains with mutual TLS alone") {
  for (Protocol http : {Protocol::kHttp, Protocol::kHttp2}) {
    CHECK(chains(MtlsMode::kStrict, http) == Texts{"tls -> http, mtls"});
  }
  CHECK(chains(MtlsMode::kStrict, Protocol::kTcp) == Texts{"tls -> tcp, mtls"});
  CHECK(chains(MtlsMode::kStrict, Protocol::kAuto) ==
        Texts{kH + " -> http, mtls", "tls -> tcp, mtls"});
}

TEST_CASE("PERMISSIVE tells TLS of the mesh from TLS of applications by its ALPN") {
  for (Protocol http : {Protocol::kHttp, Protocol::kHttp2}) {
    CHECK(chains(MtlsMode::kPermissive, http) ==
          Texts{kH + " istio -> http, mtls", "raw_buffer -> http"});
  }
  CHECK(chains(MtlsMode::kPermissive, Protocol::kTcp) ==
        Texts{kH + " istio -> tcp, mtls", "tls -> tcp", "raw_buffer -> tcp"});
  CHECK(chains(MtlsMode::kPermissive, Protocol::kAuto) ==
        Texts{kH + " -> http, mtls", "raw_buffer http/1.1 h2c -> http", "tls istio -> tcp, mtls",
              "raw_buffer -> tcp", "tls -> tcp"});
}

TEST_CASE("DISABLE takes what comes as it is") {
  for (Protocol http : {Protocol::kHttp, Protocol::kHttp2}) {
    CHECK(chains(MtlsMode::kDisable, http) == Texts{"raw_buffer -> http"});
  }
  CHECK(chains(MtlsMode::kDisable, Protocol::kTcp) == Texts{"raw_buffer -> tcp"});
  CHECK(chains(MtlsMode::kDisable, Protocol::kAuto) ==
        Texts{"raw_buffer http/1.1 h2c -> http", "raw_buffer -> tcp"});
}

TEST_CASE("a listener inspects no more than its chains ask about") {
  const std::string tls = "envoy.filters.listener.tls_inspector";
  const std::string http = "envoy.filters.listener.http_inspector";
  CHECK(filters(MtlsMode::kStrict, Protocol::kAuto) == Texts{tls});
  CHECK(filters(MtlsMode::kPermissive, Protocol::kHttp) == Texts{tls});
  CHECK(filters(MtlsMode::kPermissive, Protocol::kAuto) == Texts{tls, http});
  CHECK(filters(MtlsMode::kDisable, Protocol::kAuto) == Texts{http});
  CHECK(filters(MtlsMode::kDisable, Protocol::kTcp).empty());
}

TEST_CASE(
    "who comes to a PERMISSIVE port without an identity of the mesh is reported, no one else") {
  const std::string http = "plaintext DownstreamStart";
  const std::string ends = " TcpUpstreamConnected TcpConnectionEnd";
  CHECK(logs(MtlsMode::kPermissive, Protocol::kHttp) == Texts{"", http});
  CHECK(logs(MtlsMode::kPermissive, Protocol::kTcp) ==
        Texts{"", "own_tls" + ends, "plaintext" + ends});
  CHECK(logs(MtlsMode::kPermissive, Protocol::kAuto) ==
        Texts{"", http, "", "plaintext" + ends, "own_tls" + ends});
  for (MtlsMode mode : {MtlsMode::kStrict, MtlsMode::kDisable}) {
    CHECK(logs(mode, Protocol::kAuto) == Texts{"", ""});
  }
}

TEST_CASE("the names of a listener's chains are distinct, so that they are counted apart") {
  for (MtlsMode mode : {MtlsMode::kStrict, MtlsMode::kPermissive, MtlsMode::kDisable}) {
    for (Protocol protocol : {Protocol::kHttp, Protocol::kHttp2, Protocol::kTcp, Protocol::kAuto}) {
      auto listener =
          inbound_listener(surroundings(), {.port = 1, .app = {}, .protocol = protocol}, mode);
      Texts names;
      for (const auto& chain : listener.filter_chains()) names.push_back(chain.name());
      std::sort(names.begin(), names.end());
      CHECK(std::adjacent_find(names.begin(), names.end()) == names.end());
    }
  }
}

TEST_CASE("clients must be of the trust domain or an alias of it, and show it") {
  Port port{.port = 8080, .app = {"127.0.0.1", 18080}, .protocol = Protocol::kHttp};
  auto listener = inbound_listener(surroundings({"old.example"}), port, MtlsMode::kStrict);

  auto context =
      context_in<testing::tls::DownstreamTlsContext>(listener.filter_chains(0).transport_socket());

  CHECK(context.require_client_certificate().value());
  CHECK(testing::certificate_of(context) == "default");
  CHECK(testing::roots_of(context) == "ROOTCA");
  CHECK(testing::peers_in(context) ==
        Texts{"URI ^spiffe://example.org/", "URI ^spiffe://old.example/"});
  CHECK(words(context.common_tls_context().alpn_protocols()) == Texts{"http/1.1"});
}

TEST_CASE("a listener has the declared port and leads to the application") {
  Port port{
      .port = 8080, .listen = "10.0.0.1", .app = {"127.0.0.1", 18080}, .protocol = Protocol::kHttp};

  auto listener = inbound_listener(surroundings(), port, MtlsMode::kStrict);
  auto cluster = inbound_cluster(port);

  CHECK(listener.address().socket_address().address() == "10.0.0.1");
  CHECK(listener.address().socket_address().port_value() == 8080);
  const auto& app = cluster.load_assignment().endpoints(0).lb_endpoints(0).endpoint().address();
  CHECK(app.socket_address().address() == "127.0.0.1");
  CHECK(app.socket_address().port_value() == 18080);
}

}  // namespace
}  // namespace nodepilot::mesh
