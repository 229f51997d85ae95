#include "agent/config/mesh_manifests.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <fstream>

#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

using mesh::MtlsMode;

const std::string kHead =
    "apiVersion: security.istio.io/v1\n"
    "kind: PeerAuthentication\n"
    "metadata: { name: a, namespace: shop }\n";

const std::string kRuleHead =
    "apiVersion: networking.istio.io/v1\n"
    "kind: DestinationRule\n"
    "metadata: { name: a, namespace: shop }\n";

std::string errors_of(const std::string& text) {
  Manifests out;
  std::string all;
  for (const ConfigError& error : parse_manifests(text, "p.yaml", out)) all += error.str() + "\n";
  return all;
}

Manifests parsed(const std::string& text) {
  Manifests out;
  for (const ConfigError& error : parse_manifests(text, "p.yaml", out)) FAIL(error.str());
  return out;
}

TEST_CASE("a whole manifest is read") {
  auto peers =
      parsed(
          "apiVersion: security.istio.io/v1beta1\n"
          "kind: PeerAuthentication\n"
          "metadata:\n"
          "  name: web\n"
          "  namespace: shop\n"
          "  creationTimestamp: \"2026-01-31T08:00:00Z\"\n"
          "  labels: { any: thing }\n"
          "  uid: 5d7e\n"
          "spec:\n"
          "  selector: { matchLabels: { app: web, \"a.b/c\": \"1\" } }\n"
          "  mtls: { mode: STRICT }\n"
          "  portLevelMtls: { 8080: { mode: DISABLE }, \"9090\": { mode: UNSET }, 7070: {} }\n"
          "status: { any: thing }\n")
          .peers;

  REQUIRE(peers.size() == 1);
  CHECK(peers[0].full_name() == "shop/web");
  CHECK(peers[0].origin == "p.yaml:1");
  REQUIRE(peers[0].created);
  CHECK(to_rfc3339(*peers[0].created) == "2026-01-31T08:00:00Z");
  CHECK(peers[0].selector == mesh::Labels{{"app", "web"}, {"a.b/c", "1"}});
  CHECK(peers[0].mode == MtlsMode::kStrict);
  CHECK(peers[0].ports == mesh::PortModes{{7070, MtlsMode::kUnset},
                                          {8080, MtlsMode::kDisable},
                                          {9090, MtlsMode::kUnset}});
}

TEST_CASE("what is left out inherits") {
  for (const char* spec : {"", "spec: {}\n", "spec: { mtls: {} }\n", "spec: { selector: {} }\n",
                           "spec: { mtls: { mode: UNSET } }\n"}) {
    CAPTURE(spec);
    auto peers = parsed(kHead + spec).peers;
    REQUIRE(peers.size() == 1);
    CHECK(peers[0].mode == MtlsMode::kUnset);
    CHECK(peers[0].selector.empty());
    CHECK_FALSE(peers[0].created);
  }
}

TEST_CASE("a file holds several documents, empty ones too, or a List") {
  auto several = parsed("---\n" + kHead + "---\n---\n" + kRuleHead + "spec: { host: b.shop }\n");
  CHECK(several.peers.size() == 1);
  CHECK(several.rules.size() == 1);

  auto list = parsed(
      "apiVersion: v1\nkind: List\nmetadata: { resourceVersion: \"\" }\nitems:\n"
      "- apiVersion: security.istio.io/v1\n"
      "  kind: PeerAuthentication\n"
      "  metadata: { name: a, namespace: b, creationTimestamp: null }\n");
  CHECK(list.peers.size() == 1);
  CHECK(parsed("").peers.empty());
}

TEST_CASE("every mistake is told with its place, those of later documents too") {
  CHECK(errors_of(kHead + "spec: { mtls: { mode: STRIKT }, selectr: {} }\n---\n" +
                  "apiVersion: security.istio.io/v2\nkind: PeerAuthentication\n"
                  "metadata: { name: A, namespace: b }\n") ==
        "p.yaml:4:23: spec.mtls.mode: must be UNSET, DISABLE, PERMISSIVE or STRICT, got "
        "\"STRIKT\"\n"
        "p.yaml:4:33: spec: unknown key \"selectr\" (did you mean \"selector\"?)\n"
        "p.yaml:6:13: apiVersion: must be security.istio.io/v1 or security.istio.io/v1beta1, got "
        "\"security.istio.io/v2\"\n");
}

TEST_CASE("ports need a selector, at least one entry, and numbers spelled the one way") {
  CHECK(errors_of(kHead + "spec: { portLevelMtls: { 80: { mode: STRICT } } }\n") ==
        "p.yaml:4:24: spec.portLevelMtls: needs a selector: ports are those of certain "
        "workloads\n");
  auto with_ports = [](const std::string& ports) {
    return errors_of(kHead + "spec: { selector: { matchLabels: { a: b } }, portLevelMtls: { " +
                     ports + " } }\n");
  };
  CHECK(with_ports("").find("must not be empty") != std::string::npos);
  for (const char* port : {"0", "65536", "-1", "080", "http", "8080 "}) {
    CAPTURE(port);
    CHECK(with_ports("\"" + std::string(port) + "\": { mode: STRICT }")
              .find("a port must be a number between 1 and 65535") != std::string::npos);
  }
  CHECK(with_ports("80: { mode: STRICT }, 80: { mode: DISABLE }").find("is given twice") !=
        std::string::npos);
  CHECK(with_ports("65535: { mode: STRICT }, 1: { mode: STRICT }").empty());
}

TEST_CASE("another kind is refused, with what it may have been meant to be") {
  CHECK(errors_of("apiVersion: security.istio.io/v1\nkind: PeerAuthentification\n"
                  "metadata: { name: a, namespace: b }\nspec: {}\n") ==
        "p.yaml:2:7: kind: must be PeerAuthentication or DestinationRule, got "
        "\"PeerAuthentification\" (did you mean \"PeerAuthentication\"?): what is not enforced "
        "here must not look as if it were\n");
  CHECK_FALSE(errors_of("apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
                        "metadata: { name: a, namespace: b }\nspec: {}\n")
                  .empty());
}

TEST_CASE("names and namespaces are demanded, and each object comes once") {
  CHECK(errors_of("apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n"
                  "metadata: { name: A_b }\n") ==
        "p.yaml:3:11: metadata: key \"namespace\" is missing\n"
        "p.yaml:3:19: metadata.name: must be a name such as web or web.shop.svc.cluster.local, got "
        "\"A_b\"\n");
  CHECK(errors_of(kHead + "---\n" + kHead)
            .find("PeerAuthentication \"shop/a\" is given twice, first at p.yaml:1") !=
        std::string::npos);
}

TEST_CASE("times are RFC 3339 and exist") {
  auto at = [](const std::string& time) {
    return errors_of(
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: { name: "
        "a, namespace: b, creationTimestamp: \"" +
        time + "\" }\n");
  };
  CHECK(at("2024-02-29T23:59:59Z").empty());
  for (const char* time : {"2023-02-29T00:00:00Z", "2024-13-01T00:00:00Z", "2024-01-01T24:00:00Z",
                           "2024-01-01 00:00:00Z", "2024-01-01T00:00:00", "", "now"}) {
    CAPTURE(time);
    CHECK(at(time).find("metadata.creationTimestamp: must be a time") != std::string::npos);
  }
}

TEST_CASE("a DestinationRule is read, and only the part of it that is heeded may be given") {
  auto rules = parsed(kRuleHead +
                      "spec:\n  host: \"*.shop.svc\"\n  trafficPolicy:\n    tls: { mode: MUTUAL, "
                      "sni: a.b, subjectAltNames: [x.example], clientCertificate: /a/c, "
                      "privateKey: /a/k, caCertificates: /a/r }\n")
                   .rules;
  REQUIRE(rules.size() == 1);
  CHECK(rules[0].host == "*.shop.svc");
  REQUIRE(rules[0].tls);
  CHECK(rules[0].tls->mode == mesh::ClientTlsMode::kMutual);
  CHECK(rules[0].tls->subject_alt_names == std::vector<std::string>{"x.example"});
  CHECK(rules[0].tls->client_certificate == "/a/c");

  auto with_tls = [](const std::string& tls) {
    return errors_of(kRuleHead + "spec: { host: a.b, trafficPolicy: { tls: { " + tls + " } } }\n");
  };
  CHECK(with_tls("mode: ISTIO_MUTUAL").empty());
  CHECK(with_tls("mode: MUTUAL").find("MUTUAL needs clientCertificate and privateKey") !=
        std::string::npos);
  CHECK(with_tls("mode: SIMPLE, privateKey: /a/k").find("are for MUTUAL only") !=
        std::string::npos);
  CHECK(with_tls("mode: ISTIO_MUTUAL, caCertificates: /a").find("SIMPLE and MUTUAL only") !=
        std::string::npos);
  CHECK(with_tls("mode: SIMPLE, insecureSkipVerify: true").find("unknown key") !=
        std::string::npos);
  CHECK(with_tls("mode: SIMPLE, subjectAltNames: [\"\"]").find("must be a DNS name or a URI") !=
        std::string::npos);
  CHECK(errors_of(kRuleHead).find("spec: is missing") != std::string::npos);
  CHECK(errors_of(kRuleHead + "spec: { host: a, subsets: [ { name: v1 } ] }\n")
            .find("spec.subsets: are not supported: nothing here routes to them") !=
        std::string::npos);
}

TEST_CASE("what a DestinationRule says of single ports is read") {
  auto rules =
      parsed(kRuleHead +
             "spec:\n  host: a.b\n  trafficPolicy:\n    tls: { mode: ISTIO_MUTUAL, sni: x "
             "}\n    portLevelSettings:\n    - { port: { number: 443 }, tls: { mode: SIMPLE "
             "} }\n    - { port: { number: 9000 }, tls: { mode: DISABLE } }\n")
          .rules;
  REQUIRE(rules.size() == 1);
  REQUIRE(rules[0].ports.size() == 2);
  CHECK(rules[0].ports.at(443).mode == mesh::ClientTlsMode::kSimple);
  CHECK(rules[0].ports.at(443).sni.empty());
  CHECK(rules[0].ports.at(9000).mode == mesh::ClientTlsMode::kDisable);
  CHECK(rules[0].tls->sni == "x");
}

TEST_CASE("settings of a port that say too little, too much, or what is not heeded are refused") {
  auto errors = [](const std::string& items) {
    return errors_of(kRuleHead + "spec: { host: a.b, trafficPolicy: { portLevelSettings: [ " +
                     items + " ] } }\n");
  };
  const std::string off = "tls: { mode: DISABLE }";
  auto has = [](const std::string& text, const char* part) {
    CAPTURE(text);
    CHECK(text.find(part) != std::string::npos);
  };
  CHECK(errors("").empty());
  CHECK(errors("{ port: { number: 80 }, " + off + " }").empty());
  has(errors("{ " + off + " }"), "portLevelSettings[0]: key \"port\" is missing");
  has(errors("{ port: {}, " + off + " }"), "portLevelSettings[0].port: key \"number\" is missing");
  has(errors("{ port: { number: 80 } }"), "portLevelSettings[0]: key \"tls\" is missing");
  for (const char* number : {"0", "65536", "-1", "080x", "\"80\"", "[]"}) {
    has(errors(std::string("{ port: { number: ") + number + " }, " + off + " }"),
        "portLevelSettings[0].port.number: ");
  }
  has(errors("{ port: { number: 80 }, " + off + " }, { port: { number: 80 }, " + off + " }"),
      "portLevelSettings[1]: port 80 is given twice");
  has(errors("{ port: { number: 80 }, " + off + ", loadBalancer: {} }"),
      "portLevelSettings[0]: unknown key \"loadBalancer\"");
  has(errors("{ port: { number: 80, name: http }, " + off + " }"), "unknown key \"name\"");
  has(errors("{ port: { number: 80 }, tls: { mode: MUTUAL } }"),
      "MUTUAL needs clientCertificate and privateKey");
  std::string many;
  for (int i = 1; i <= 101; ++i) {
    many += "{ port: { number: " + std::to_string(i) + " }, " + off + " }, ";
  }
  has(errors(many), "portLevelSettings: must hold at most 100 ports");
}

TEST_CASE("documents and depth are bounded") {
  std::string many;
  for (int i = 0; i < 1001; ++i) many += "---\n{}\n";
  CHECK(errors_of(many).find("only 1000 documents are allowed") != std::string::npos);
  CHECK(errors_of(std::string(40, '[')).find("nested more than 16 levels deep") !=
        std::string::npos);
  CHECK(errors_of(std::string(1024 * 1024 + 1, ' ')) == "p.yaml: larger than 1 MiB\n");
}

TEST_CASE("a directory is read by its manifests' names; a mistake in any file tells of it") {
  TemporaryDirectory directory;
  auto write = [&](const char* name, const std::string& text) {
    std::ofstream(directory.path() / name) << text;
  };
  write("b.yaml", kHead + "spec: { mtls: { mode: STRICT } }\n");
  write("a.yml", kRuleHead + "spec: { host: a.b }\n");
  write(".c.yaml", "no: manifest");
  write("README.md", "no manifest");

  auto policy = load_policy(directory.path(), "istio-system");
  REQUIRE(policy);
  CHECK(policy->peers.resolve("shop", {}, 80).mode == MtlsMode::kStrict);
  CHECK(policy->rules.size() == 1);

  write("d.json", "{\"kind\": 1}");
  write("e.yaml", ":");
  auto broken = load_policy(directory.path(), "istio-system");
  REQUIRE_FALSE(broken);
  CHECK(broken.error().front().file == (directory.path() / "d.json").string());
  CHECK(broken.error().back().file == (directory.path() / "e.yaml").string());
  CHECK_FALSE(load_policy(directory.path() / "gone", "istio-system"));
}

}  // namespace
}  // namespace nodepilot
