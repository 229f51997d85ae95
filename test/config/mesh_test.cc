#include "agent/config/mesh.h"

#include <doctest/doctest.h>

#include "agent/config/config.h"
#include "test/config/mistakes.h"

namespace nodepilot {
namespace {

// `mesh` stands from line 4 on.
std::string with(const std::string& mesh) {
  return "trust_domain: example.org\n"
         "identities: [ { id: /web, match: [ \"unix:uid:1\" ] } ]\n"
         "mesh:\n"
         "  policy: /etc/nodepilot/mesh\n" +
         mesh;
}

std::string with_workload(const std::string& more) {
  return with("  workloads: [ { name: web, namespace: shop, identity: /web, " + more + " } ]\n");
}

std::string with_service(const std::string& more) {
  return with_workload("services: [ { host: pay.shop, port: 80, listen: \"127.0.0.1:9000\", " +
                       more + " } ]");
}

std::string errors_of(const std::string& yaml) { return mistakes_in(parse_config(yaml, "a.yaml")); }

bool says(const std::string& yaml, const std::string& what) {
  INFO(errors_of(yaml));
  return errors_of(yaml).find(what) != std::string::npos;
}

TEST_CASE("a whole section is read") {
  auto config = parse_config(
      with("  root_namespace: root\n"
           "  trust_domain_aliases: [ old.example ]\n"
           "  workloads:\n"
           "    - name: web\n"
           "      namespace: shop\n"
           "      labels: { app: web }\n"
           "      identity: /web\n"
           "      admin: 127.0.0.1:15000\n"
           "      ports: [ { port: 8080, listen: \"::\", app: \"[::1]:18080\", protocol: grpc } ]\n"
           "      services:\n"
           "        - host: pay.shop\n"
           "          namespace: pay\n"
           "          port: 80\n"
           "          listen: 127.0.0.1:9000\n"
           "          protocol: http\n"
           "          service_accounts: [ /ns/pay/sa/pay ]\n"
           "          endpoints: [ { address: \"10.0.0.1:8080\", port: 80, proxy: true, labels: { "
           "app: pay } } ]\n"),
      "a.yaml");
  REQUIRE(config);
  REQUIRE(config->mesh);

  CHECK(config->mesh->policy == "/etc/nodepilot/mesh");
  CHECK(config->mesh->root_namespace == "root");
  CHECK(config->mesh->trust_domain_aliases.front().name() == "old.example");
  const mesh::Workload& web = config->mesh->workloads.at(0);
  CHECK(web.identity.str() == "spiffe://example.org/web");
  CHECK(web.labels == mesh::Labels{{"app", "web"}});
  CHECK(std::get<mesh::SocketAddress>(*web.admin) == mesh::SocketAddress{"127.0.0.1", 15000});
  CHECK(web.ports.at(0).listen == "::");
  CHECK(web.ports.at(0).app == mesh::SocketAddress{"::1", 18080});
  CHECK(web.ports.at(0).protocol == mesh::Protocol::kHttp2);
  const mesh::Service& pay = web.services.at(0);
  CHECK(pay.name_space == "pay");
  CHECK(pay.service_accounts.at(0).str() == "spiffe://example.org/ns/pay/sa/pay");
  CHECK(pay.endpoints.at(0).port == 80);
  CHECK(pay.endpoints.at(0).has_proxy);
}

TEST_CASE("an endpoint's port and a service's namespace have their natural defaults") {
  auto config =
      parse_config(with_service("endpoints: [ { address: \"10.0.0.1:8080\" } ]"), "a.yaml");
  REQUIRE(config);

  const mesh::Service& pay = config->mesh->workloads.at(0).services.at(0);
  CHECK(pay.name_space == "shop");
  CHECK(pay.endpoints.at(0).port == 8080);
  CHECK_FALSE(pay.endpoints.at(0).has_proxy);
}

TEST_CASE("a workload's identity is one of the identities") {
  CHECK(errors_of(with("  workloads: [ { name: web, namespace: shop, identity: /wbe } ]\n")) ==
        "a.yaml:5:56: mesh.workloads[0].identity: \"spiffe://example.org/wbe\" is none of the "
        "identities\n");
}

TEST_CASE("an endpoint with a proxy needs to be known by name") {
  CHECK(says(with_service("endpoints: [ { address: \"10.0.0.1:1\", proxy: true } ]"),
             "service_accounts: must name who may answer for the service"));
}

TEST_CASE("admin and outbound listeners are for this host alone") {
  CHECK(says(with_workload("admin: \"0.0.0.0:15000\""), "admin: must be a loopback address"));
  CHECK(errors_of(with_workload("admin: /run/envoy/admin.sock")).empty());
  CHECK(says(with_workload("services: [ { host: a, port: 1, listen: \"10.0.0.1:9\", endpoints: [ { "
                           "address: \"10.0.0.1:1\" } ] } ]"),
             "listen: must be a loopback address"));
}

TEST_CASE("two listeners of one Envoy do not share an address") {
  CHECK(says(with_workload("ports: [ { port: 80, app: \"127.0.0.1:81\" }, { port: 80, app: "
                           "\"127.0.0.1:82\" } ]"),
             "port 80 is given twice"));
  CHECK(
      says(with_workload("ports: [ { port: 9000, app: \"127.0.0.1:81\" } ], services: [ { host: a, "
                         "port: 1, listen: \"127.0.0.1:9000\", endpoints: [ { address: "
                         "\"10.0.0.1:1\" } ] } ]"),
           "two listeners have 127.0.0.1:9000"));
  CHECK(says(with_workload("ports: [ { port: 80, app: \"127.0.0.1:80\" } ]"),
             "app: must not be the address that Envoy listens on"));
}

TEST_CASE("words that are not known are told") {
  CHECK(says(with_workload("ports: [ { port: 80, app: \"127.0.0.1:81\", protocol: udp } ]"),
             "must be http, http2, grpc, tcp or auto, got \"udp\""));
  CHECK(says(with_workload("ports: [ { port: 80, ap: \"127.0.0.1:81\" } ]"),
             "unknown key \"ap\" (did you mean \"app\"?)"));
  CHECK(says(with_service("protocol: auto, endpoints: [ { address: \"10.0.0.1:1\" } ]"),
             "a client knows what it speaks"));
  CHECK(says(with_service("endpoints: []"), "endpoints: must name at least one"));
  for (const char* address : {"127.0.0.1", "localhost:1", "127.0.0.1:0", "::1:80", "[127.0.0.1]:80",
                              "127.0.0.1:65536", "[::1]"}) {
    CAPTURE(address);
    CHECK(says(with_service("endpoints: [ { address: \"" + std::string(address) + "\" } ]"),
               "must be IP:PORT"));
  }
}

TEST_CASE("names of Kubernetes are checked") {
  CHECK(parse_dns_label("istio-system"));
  for (const char* bad : {"", "-a", "a-", "A", "a.b", "a_b"}) CHECK_FALSE(parse_dns_label(bad));
  CHECK_FALSE(parse_dns_label(std::string(64, 'a')));
  CHECK(parse_dns_subdomain("web.shop.svc.cluster.local"));
  for (const char* bad : {"", ".", "a.", ".a", "a..b", "*.a"})
    CHECK_FALSE(parse_dns_subdomain(bad));
}

}  // namespace
}  // namespace nodepilot
