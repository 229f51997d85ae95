#include "agent/mesh/outbound.h"

#include "test/mesh/kit.h"

namespace nodepilot::mesh {
namespace {

using testing::certificate_of;
using testing::context_in;
using testing::peers_in;
using testing::roots_of;
using testing::surroundings;
using testing::words;
using Upstream = testing::tls::UpstreamTlsContext;
using Texts = std::vector<std::string>;

Service service() {
  return {.host = "pay.shop.svc",
          .name_space = "shop",
          .port = 80,
          .listen = {"127.0.0.1", 9000},
          .protocol = Protocol::kHttp,
          .service_accounts = {*SpiffeId::parse("spiffe://example.org/ns/shop/sa/pay")},
          .endpoints = {{.address = {"10.0.0.1", 8080}, .port = 8080, .has_proxy = true},
                        {.address = {"10.0.0.2", 8080}, .port = 8080}}};
}

PolicySet policies(std::vector<PeerAuthentication> all = {}) {
  return {"istio-system", std::move(all)};
}

PeerAuthentication disabled(Labels selector, PortModes ports = {}) {
  MtlsMode mode = ports.empty() ? MtlsMode::kDisable : MtlsMode::kUnset;
  return {.name = "p",
          .name_space = "shop",
          .selector = std::move(selector),
          .mode = mode,
          .ports = std::move(ports),
          .origin = ""};
}

DestinationRule rule(ClientTls tls) {
  return {.name = "r",
          .name_space = "shop",
          .host = "pay.shop.svc",
          .tls = std::move(tls),
          .origin = ""};
}

envoy::config::cluster::v3::Cluster render(const Service& service, const DestinationRule* rule,
                                           const PolicySet& set = policies()) {
  auto cluster = outbound_cluster(surroundings({"old.example"}), set, service, rule);
  REQUIRE(cluster);
  return *std::move(cluster);
}

// For each endpoint whether it is marked for mutual TLS.
std::vector<bool> marks(const envoy::config::cluster::v3::Cluster& cluster) {
  std::vector<bool> out;
  for (const auto& endpoint : cluster.load_assignment().endpoints(0).lb_endpoints()) {
    const auto& all = endpoint.metadata().filter_metadata();
    auto found = all.find("envoy.transport_socket_match");
    out.push_back(found != all.end() &&
                  found->second.fields().at("tlsMode").string_value() == "istio");
  }
  return out;
}

TEST_CASE("auto mTLS goes to endpoints with a proxy, plaintext to the others") {
  auto cluster = render(service(), nullptr);

  CHECK(marks(cluster) == std::vector{true, false});
  REQUIRE(cluster.transport_socket_matches_size() == 2);
  const auto& first = cluster.transport_socket_matches(0);
  CHECK(first.match().fields().at("tlsMode").string_value() == "istio");
  CHECK(cluster.transport_socket_matches(1).match().fields().empty());
  CHECK(cluster.transport_socket_matches(1).transport_socket().name() ==
        "envoy.transport_sockets.raw_buffer");
  auto context = context_in<Upstream>(first.transport_socket());
  CHECK(context.sni() == "outbound_.80_._.pay.shop.svc");
  CHECK(certificate_of(context) == "default");
  CHECK(roots_of(context) == "ROOTCA");
  CHECK(words(context.common_tls_context().alpn_protocols()) == Texts{"istio", "http/1.1"});
  CHECK(peers_in(context) == Texts{"URI =spiffe://example.org/ns/shop/sa/pay",
                                   "URI =spiffe://old.example/ns/shop/sa/pay"});
}

TEST_CASE("auto mTLS heeds DISABLE of the endpoint's own policy, and of its port alone") {
  Service to = service();
  to.endpoints[0].labels = {{"app", "pay"}};
  to.endpoints[1] = to.endpoints[0];
  to.endpoints[1].port = 9090;

  CHECK(marks(render(to, nullptr, policies({disabled({{"app", "pay"}})}))) ==
        std::vector{false, false});
  CHECK(marks(render(to, nullptr,
                     policies({disabled({{"app", "pay"}}, {{9090, MtlsMode::kDisable}})}))) ==
        std::vector{true, false});
}

TEST_CASE("a namespace that says DISABLE is reached in plaintext") {
  auto cluster = render(service(), nullptr, policies({disabled({})}));

  CHECK(marks(cluster) == std::vector{false, false});
  CHECK(cluster.transport_socket_matches().empty());
  CHECK_FALSE(cluster.has_transport_socket());
}

TEST_CASE("ISTIO_MUTUAL is mutual TLS to every endpoint, whatever auto mTLS would do") {
  DestinationRule mutual = rule({.mode = ClientTlsMode::kIstioMutual});

  auto cluster = render(service(), &mutual, policies({disabled({})}));

  CHECK(cluster.transport_socket_matches().empty());
  auto context = context_in<Upstream>(cluster.transport_socket());
  CHECK(context.sni() == "outbound_.80_._.pay.shop.svc");
  CHECK(peers_in(context).size() == 2);
}

TEST_CASE("the server name and subjects of a rule stand in the place of the service's") {
  DestinationRule mutual = rule({.mode = ClientTlsMode::kIstioMutual,
                                 .sni = "a.b",
                                 .subject_alt_names = {"spiffe://example.org/x", "x.example"}});

  auto context = context_in<Upstream>(render(service(), &mutual).transport_socket());

  CHECK(context.sni() == "a.b");
  CHECK(peers_in(context) == Texts{"URI =spiffe://example.org/x", "DNS =x.example"});
}

TEST_CASE("a service of unknown identity is refused rather than trusted") {
  Service nameless = service();
  nameless.service_accounts.clear();
  DestinationRule mutual = rule({.mode = ClientTlsMode::kIstioMutual});

  for (const DestinationRule* how : {static_cast<const DestinationRule*>(nullptr),
                                     static_cast<const DestinationRule*>(&mutual)}) {
    auto cluster = outbound_cluster(surroundings(), policies(), nameless, how);
    REQUIRE_FALSE(cluster);
    CHECK(cluster.error().code == Code::kFailedPrecondition);
    CHECK(cluster.error().message.find("pay.shop.svc:80: mutual TLS needs to know") == 0);
  }
}

TEST_CASE("DISABLE of a rule is plaintext, though the endpoint has a proxy") {
  DestinationRule off = rule({.mode = ClientTlsMode::kDisable});

  auto cluster = render(service(), &off);

  CHECK_FALSE(cluster.has_transport_socket());
  CHECK(cluster.transport_socket_matches().empty());
}

TEST_CASE("SIMPLE checks the host's name against the system's roots, and shows no certificate") {
  DestinationRule simple = rule({.mode = ClientTlsMode::kSimple});

  auto context = context_in<Upstream>(render(service(), &simple).transport_socket());

  CHECK(certificate_of(context).empty());
  CHECK(roots_of(context) == "file-root:system");
  CHECK(peers_in(context) == Texts{"DNS =pay.shop.svc"});
  CHECK(context.sni() == "pay.shop.svc");
}

TEST_CASE("MUTUAL shows the certificate that the rule names") {
  DestinationRule mutual = rule({.mode = ClientTlsMode::kMutual,
                                 .client_certificate = "/a/tls.crt",
                                 .private_key = "/a/tls.key",
                                 .ca_certificates = "/a/ca.crt"});

  auto context = context_in<Upstream>(render(service(), &mutual).transport_socket());

  CHECK(certificate_of(context) == "file-cert:/a/tls.crt~/a/tls.key");
  CHECK(roots_of(context) == "file-root:/a/ca.crt");
}

TEST_CASE("what a rule says of the service's port goes before what it says of all, whole") {
  DestinationRule both = rule({.mode = ClientTlsMode::kIstioMutual, .sni = "a.b"});
  both.ports[80] = {.mode = ClientTlsMode::kIstioMutual};
  both.ports[8080] = {.mode = ClientTlsMode::kDisable};  // the endpoints' port, which is no matter

  auto context = context_in<Upstream>(render(service(), &both).transport_socket());

  CHECK(context.sni() == "outbound_.80_._.pay.shop.svc");
  Service other = service();
  other.port = 81;
  CHECK(context_in<Upstream>(render(other, &both).transport_socket()).sni() == "a.b");
}

TEST_CASE("a rule of single ports alone leaves auto mTLS on for the others") {
  DestinationRule one = rule({});
  one.tls.reset();
  one.ports[81] = {.mode = ClientTlsMode::kDisable};

  CHECK(render(service(), &one).transport_socket_matches_size() == 2);
  Service other = service();
  other.port = 81;
  CHECK(render(other, &one).transport_socket_matches().empty());
  CHECK_FALSE(render(other, &one).has_transport_socket());
}

TEST_CASE("a rule without tls leaves auto mTLS on") {
  DestinationRule silent = rule({});
  silent.tls.reset();

  CHECK(marks(render(service(), &silent)) == std::vector{true, false});
}

TEST_CASE("the client's namespace goes before the service's and the root; exact before wildcard") {
  auto in = [](const char* name_space, const char* host) {
    DestinationRule out = rule({});
    out.name_space = name_space;
    out.host = host;
    return out;
  };
  auto found = [](std::vector<DestinationRule> rules) -> std::string {
    const auto* rule = find_rule(rules, "pay.shop.svc", "web", "shop", "istio-system");
    return rule == nullptr ? "none" : rule->name_space + " " + rule->host;
  };
  CHECK(found({}) == "none");
  CHECK(found({in("other", "pay.shop.svc"), in("shop", "pay.shop"),
               in("shop", "*.pay.shop.svc")}) == "none");
  CHECK(found({in("istio-system", "pay.shop.svc"), in("shop", "*.svc")}) == "shop *.svc");
  CHECK(found({in("shop", "pay.shop.svc"), in("web", "*.svc")}) == "web *.svc");
  CHECK(found({in("shop", "*.svc"), in("shop", "*.shop.svc")}) == "shop *.shop.svc");
  CHECK(found({in("shop", "*.shop.svc"), in("shop", "pay.shop.svc")}) == "shop pay.shop.svc");
}

}  // namespace
}  // namespace nodepilot::mesh
