#include "agent/config/ca.h"

#include <doctest/doctest.h>

#include "agent/config/config.h"
#include "test/config/mistakes.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;
using AskAs = IstiodOptions::AskAs;

// A file with one identity and `ca` in line 2.
tl::expected<Config, ConfigErrors> read(
    const std::string& ca,
    const std::string& identities = "[{ id: /ns/shop/sa/web, match: [\"unix:uid:1\"] }]") {
  return parse_config("trust_domain: example.org\nca: " + ca + "\nidentities: " + identities + "\n",
                      "a.yaml");
}

// Of `ca: { istiod: { addresses: [a:1], MORE } }`; MORE begins at column 37.
std::string errors_with(const std::string& more) {
  return mistakes_in(read("{ istiod: { addresses: [\"a:1\"], " + more + " } }"));
}

IstiodOptions istiod_of(const tl::expected<Config, ConfigErrors>& config) {
  REQUIRE_MESSAGE(config, mistakes_in(config));
  return std::get<IstiodOptions>(config->ca);
}

TEST_CASE("istiod needs but an address") {
  auto config = read("{ istiod: { addresses: [\"istiod.istio-system.svc:15012\"] } }");

  IstiodOptions options = istiod_of(config);
  CHECK(options.addresses == std::vector<std::string>{"istiod.istio-system.svc:15012"});
  CHECK(options.token_file == "/var/run/secrets/tokens/istio-token");
  CHECK(options.root_file == "/var/run/secrets/istio/root-cert.pem");
  CHECK_FALSE(options.trust_bundle_file);
  CHECK(options.server_name.empty());
  CHECK(options.cluster_id == "Kubernetes");
  CHECK(options.headers.empty());
  CHECK_FALSE(options.certificate_file);
  CHECK_FALSE(options.key_file);
  CHECK(options.cert_signer.empty());
  CHECK(options.ask_as == AskAs::kSelf);
  CHECK(options.timeout == 10s);
  CHECK(config->entries.at(0).ttl == 24h);
}

TEST_CASE("everything about istiod is read as written") {
  auto config = read(R"(
  istiod:
    addresses: ["10.0.0.1:15012", "[fd00::1]:443"]
    token_file: /run/token
    root_file: system
    trust_bundle_file: /etc/bundle.pem
    server_name: istiod.istio-system.svc
    cluster_id: east
    headers: { x-team: "a b", x-zone: 1 }
    certificate_file: /etc/c.pem
    key_file: /etc/c.key
    cert_signer: clusterissuers.cert-manager.io/istio
    ask_as: node_agent
    timeout: 1m30s
    ttl: 2h)");

  IstiodOptions options = istiod_of(config);
  CHECK(options.addresses == std::vector<std::string>{"10.0.0.1:15012", "[fd00::1]:443"});
  CHECK(options.token_file == "/run/token");
  CHECK_FALSE(options.root_file);
  CHECK(options.trust_bundle_file == "/etc/bundle.pem");
  CHECK(options.server_name == "istiod.istio-system.svc");
  CHECK(options.cluster_id == "east");
  CHECK(options.headers ==
        std::vector<std::pair<std::string, std::string>>{{"x-team", "a b"}, {"x-zone", "1"}});
  CHECK(options.certificate_file == "/etc/c.pem");
  CHECK(options.key_file == "/etc/c.key");
  CHECK(options.cert_signer == "clusterissuers.cert-manager.io/istio");
  CHECK(options.ask_as == AskAs::kNodeAgent);
  CHECK(options.timeout == 90s);
  CHECK(config->entries.at(0).ttl == 2h);
}

TEST_CASE("one kind of CA is configured, not two") {
  CHECK(mistakes_in(read("{ local: {}, istiod: { addresses: [\"a:1\"] } }")) ==
        "a.yaml:2:26: ca.istiod: only one kind of CA can sign, but local is given as well; leave "
        "one of them out\n");
  CHECK(mistakes_in(read("{ istoid: {} }")) ==
        "a.yaml:2:7: ca: unknown key \"istoid\" (did you mean \"istiod\"?)\n");
}

TEST_CASE("addresses are hosts with ports") {
  auto errors = [](const std::string& list) {
    return mistakes_in(read("{ istiod: { addresses: " + list + " } }"));
  };
  CHECK(mistakes_in(read("{ istiod: {} }")) ==
        "a.yaml:2:15: ca.istiod: key \"addresses\" is missing\n");
  CHECK(errors("[]") == "a.yaml:2:28: ca.istiod.addresses: must hold at least one address\n");
  CHECK(errors("a:1") == "a.yaml:2:28: ca.istiod.addresses: must be a list, got \"a:1\"\n");
  CHECK(errors("[\"a:1\", \"a:1\"]") ==
        "a.yaml:2:36: ca.istiod.addresses[1]: \"a:1\" is listed twice\n");
  for (const char* bad : {"a", "a:0", "a:01", "a:65536", ":1", "u@a:1", "https://a:1", "a:1/",
                          "a:1/b", "unix:/s", "fd00::1:1", "a b:1", "unix:1:1"}) {
    CHECK(errors("[\"" + std::string(bad) + "\"]") ==
          "a.yaml:2:29: ca.istiod.addresses[0]: must be a host and a port, such as "
          "istiod.istio-system.svc:15012, got \"" +
              std::string(bad) + "\"\n");
  }
  std::string many;
  for (int i = 0; i < 17; ++i) many += (i == 0 ? "\"h" : ", \"h") + std::to_string(i) + ":1\"";
  CHECK(errors("[" + many + "]") ==
        "a.yaml:2:28: ca.istiod.addresses: must hold at most 16 addresses, got 17\n");
}

TEST_CASE("with the system's roots for the server the CA's own must be given") {
  CHECK(errors_with("root_file: system") ==
        "a.yaml:2:15: ca.istiod.trust_bundle_file: is missing: with `root_file: system` it must "
        "hold the first roots of certificates that the CA signs\n");
  CHECK(errors_with("root_file: system, trust_bundle_file: /b.pem").empty());
  CHECK(errors_with("root_file: sys") ==
        "a.yaml:2:48: ca.istiod.root_file: must be an absolute path without \".\", \"..\", \"//\" "
        "or a \"/\" at its end, got \"sys\"; or `system`\n");
}

TEST_CASE("headers are what gRPC can send, and none that it sets itself") {
  CHECK(errors_with("headers: { x: \"~ !\" }").empty());
  CHECK(errors_with("headers: { X-Team: a }") ==
        "a.yaml:2:48: ca.istiod.headers: the name of a header must be 1 to 64 of a-z 0-9 - _ ., "
        "got \"X-Team\"\n");
  for (const char* name : {"authorization", "clusterid", "grpc-timeout", "x-bin", "te"}) {
    CHECK(errors_with("headers: { " + std::string(name) + ": a }") ==
          "a.yaml:2:48: ca.istiod.headers: this header cannot be set, got \"" + std::string(name) +
              "\"\n");
  }
  for (const char* value : {"\"\"", "\" a\"", "\"a \"", "\"a\\nb\"", "\"caf\u00e9\""}) {
    CHECK(errors_with("headers: { x: " + std::string(value) + " }")
              .starts_with("a.yaml:2:51: ca.istiod.headers.x: must be 1 to 1024 printable ASCII "
                           "characters without spaces around them, got "));
  }
  CHECK(errors_with("headers: { x: a, x: b }") ==
        "a.yaml:2:54: ca.istiod.headers: key \"x\" is given twice, first in line 2\n");
  CHECK(errors_with("headers: [x]") ==
        "a.yaml:2:46: ca.istiod.headers: must be a mapping (name: value), got a list\n");
  CHECK(errors_with("cluster_id: \"a\\rb\"")
            .starts_with("a.yaml:2:49: ca.istiod.cluster_id: must be 1 to 1024 printable"));
}

TEST_CASE("single values of istiod are checked") {
  CHECK(errors_with("ask_as: agent") ==
        "a.yaml:2:45: ca.istiod.ask_as: must be self, node_agent or workload, got \"agent\"\n");
  CHECK(errors_with("timeout: 500ms") ==
        "a.yaml:2:46: ca.istiod.timeout: must be between 1s and 2m, got \"500ms\"\n");
  CHECK(errors_with("certificate_file: /c") ==
        "a.yaml:2:55: ca.istiod.certificate_file: needs key_file beside it\n");
  CHECK(errors_with("key_file: /k") ==
        "a.yaml:2:47: ca.istiod.key_file: needs certificate_file beside it\n");
  CHECK(errors_with("server_name: \"*\"")
            .starts_with("a.yaml:2:50: ca.istiod.server_name: must be a DNS name: "));
  CHECK(errors_with("insecure: true") == "a.yaml:2:37: ca.istiod: unknown key \"insecure\"\n");
}

TEST_CASE("a node agent's identities must be ones that the CA can look up") {
  const std::string ca = "{ istiod: { addresses: [\"a:1\"], ask_as: node_agent } }";
  CHECK(mistakes_in(read(ca,
                         "[{ id: /ns/a/sa/b, match: [\"unix:uid:1\"] }, { id: /ns/a/sa/c, "
                         "match: [\"unix:uid:2\"] }]"))
            .empty());
  CHECK(mistakes_in(read(ca, "[{ id: /web, match: [\"unix:uid:1\"] }]")) ==
        "a.yaml:3:13: identities: spiffe://example.org/web: must be "
        "spiffe://example.org/ns/NAMESPACE/sa/ACCOUNT for the CA to look up, got "
        "spiffe://example.org/web\n");
  CHECK(mistakes_in(read(ca + "\nbundle_endpoint: { listen: \"1.1.1.1:1\", profile: https_spiffe, "
                              "spiffe_id: /endpoint }")) ==
        "a.yaml:4:13: identities: spiffe://example.org/endpoint: must be "
        "spiffe://example.org/ns/NAMESPACE/sa/ACCOUNT for the CA to look up, got "
        "spiffe://example.org/endpoint\n");
}

TEST_CASE("who asks for itself has one identity, by any number of rules") {
  const std::string ca = "{ istiod: { addresses: [\"a:1\"] } }";
  CHECK(mistakes_in(read(ca,
                         "[{ id: /web, match: [\"unix:uid:1\"] }, { id: /web, match: "
                         "[\"unix:uid:2\"] }]"))
            .empty());
  CHECK(mistakes_in(read(ca,
                         "[{ id: /web, match: [\"unix:uid:1\"] }, { id: /db, match: "
                         "[\"unix:uid:2\"] }]")) ==
        "a.yaml:3:13: identities: with `ask_as: self` the CA signs one identity, the agent's own, "
        "but there are spiffe://example.org/db and spiffe://example.org/web; list one, or ask as "
        "node_agent\n");
}

TEST_CASE("DNS names are not asked of a CA that signs none") {
  CHECK(
      mistakes_in(read("{ istiod: { addresses: [\"a:1\"] } }",
                       "[{ id: /web, match: [\"unix:uid:1\"], x509: { dns_names: [a.org] } }]")) ==
      "a.yaml:3:13: identities: spiffe://example.org/web: has dns_names, but the CA of "
      "ca.istiod signs none; leave them out\n");
}

TEST_CASE("no grant of files reaches the token or the key for istiod") {
  const std::string ca =
      "{ istiod: { addresses: [\"a:1\"], token_file: /srv/t/token, certificate_file: /srv/c/a.pem, "
      "key_file: /srv/k/a.key } }";
  auto errors = [&](const std::string& directory) {
    return mistakes_in(
        read(ca, "[{ id: /web, match: [\"unix:uid:1\"], files: [" + directory + "] }]"));
  };
  CHECK(errors("/srv/c").empty());
  CHECK(errors("/srv/t") ==
        "a.yaml:3:13: identities: files of spiffe://example.org/web must not reach "
        "ca.istiod.token_file: /srv/t\n");
  CHECK(errors("/srv/k") ==
        "a.yaml:3:13: identities: files of spiffe://example.org/web must not reach "
        "ca.istiod.key_file: /srv/k\n");
}

}  // namespace
}  // namespace nodepilot
