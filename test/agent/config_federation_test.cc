#include "agent/config_federation.h"

#include <doctest/doctest.h>

#include "agent/config.h"

namespace nodepilot {
namespace {

// A file with one identity and `federation`, which begins in line 2.
tl::expected<Config, ConfigErrors> read(const std::string& federation) {
  return parse_config("federation:\n" + federation +
                          "trust_domain: example.org\n"
                          "identities: [{ id: /web, match: [\"unix:uid:1\"] }]\n",
                      "a.yaml");
}

std::string errors_of(const std::string& federation) {
  auto config = read(federation);
  if (config) return "";
  std::string all;
  for (const ConfigError& error : config.error()) all += error.str() + "\n";
  return all;
}

TEST_CASE("federations of both profiles are read as written") {
  auto config = read(R"(
  - trust_domain: b.org
    url: https://b.org:8443/bundle
    profile: https_web
  - trust_domain: c.org
    url: https://c.org/
    profile: https_web
    ca_file: /etc/ca.pem
  - trust_domain: d.org
    url: https://10.0.0.1/
    profile: https_spiffe
    endpoint_spiffe_id: spiffe://d.org/endpoint
    bundle_file: /etc/d.org.json
)");

  REQUIRE(config);
  REQUIRE(config->federations.size() == 3);
  const Federation& b = config->federations[0];
  CHECK(b.trust_domain.name() == "b.org");
  CHECK(b.url.str() == "https://b.org:8443/bundle");
  CHECK_FALSE(std::get<HttpsWeb>(b.profile).ca_file);
  CHECK(std::get<HttpsWeb>(config->federations[1].profile).ca_file == "/etc/ca.pem");
  const auto& spiffe = std::get<HttpsSpiffe>(config->federations[2].profile);
  CHECK(spiffe.endpoint_id.str() == "spiffe://d.org/endpoint");
  CHECK(spiffe.bundle_file == "/etc/d.org.json");
}

TEST_CASE("nothing of a federation is inferred") {
  CHECK(errors_of("  - { trust_domain: b.org }\n") ==
        "a.yaml:2:5: federation[0]: key \"url\" is missing\n"
        "a.yaml:2:5: federation[0]: key \"profile\" is missing\n");
  CHECK(errors_of("  - { url: https://b.org, profile: https_web }\n") ==
        "a.yaml:2:5: federation[0]: key \"trust_domain\" is missing\n");
  CHECK(errors_of("  - { trust_domain: b.org, url: https://b.org, profile: https }\n") ==
        "a.yaml:2:57: federation[0].profile: must be https_web or https_spiffe, got \"https\"\n");
  CHECK(errors_of("  - { trust_domain: b.org, url: https://b.org, profile: https_spiffe,\n"
                  "      bundle_file: /b.json }\n") ==
        "a.yaml:2:5: federation[0]: key \"endpoint_spiffe_id\" is missing\n");
}

TEST_CASE("an endpoint's URL is https and without user info") {
  CHECK(errors_of("  - { trust_domain: b.org, url: http://b.org, profile: https_web }\n") ==
        "a.yaml:2:33: federation[0].url: must be an https URL: it must start with https://, got "
        "\"http://b.org\"\n");
  CHECK(errors_of("  - { trust_domain: b.org, url: https://u@b.org, profile: https_web }\n") ==
        "a.yaml:2:33: federation[0].url: must be an https URL: without user info, got "
        "\"https://u@b.org\"\n");
}

TEST_CASE("each profile has its own keys") {
  CHECK(errors_of("  - { trust_domain: b.org, url: https://b.org, profile: https_web,\n"
                  "      bundle_file: /b.json, endpoint_spiffe_id: spiffe://b.org/e }\n") ==
        "a.yaml:3:20: federation[0].bundle_file: is for the profile https_spiffe only\n"
        "a.yaml:3:49: federation[0].endpoint_spiffe_id: is for the profile https_spiffe only\n");
  CHECK(errors_of("  - { trust_domain: b.org, url: https://b.org, profile: https_spiffe,\n"
                  "      bundle_file: /b.json, endpoint_spiffe_id: spiffe://b.org/e,\n"
                  "      ca_file: /ca.pem }\n") ==
        "a.yaml:4:16: federation[0].ca_file: is for the profile https_web only\n");
}

TEST_CASE("an endpoint of its own trust domain needs a first bundle, any other must have none") {
  const std::string start =
      "  - { trust_domain: b.org, url: https://b.org, profile: https_spiffe,\n"
      "      endpoint_spiffe_id: ";
  CHECK(errors_of(start + "spiffe://b.org/e }\n") ==
        "a.yaml:2:5: federation[0].bundle_file: is missing: the first bundle of b.org, to know the "
        "endpoint spiffe://b.org/e by\n");
  CHECK(errors_of(start + "spiffe://example.org/e }\n") == "");
  CHECK(errors_of(start + "spiffe://example.org/e, bundle_file: /b.json }\n") ==
        "a.yaml:3:64: federation[0].bundle_file: must not be given: the endpoint is of example.org "
        "and known by that trust domain's bundle\n");
  CHECK(errors_of(start + "spiffe://b.org, bundle_file: /b.json }\n") ==
        "a.yaml:3:27: federation[0].endpoint_spiffe_id: must have a path, as in "
        "spiffe://b.org/endpoint: no server has the ID alone\n");
}

TEST_CASE("an endpoint's trust domain is ours or federated with") {
  const std::string c_org =
      "  - { trust_domain: c.org, url: https://c.org, profile: https_spiffe,\n"
      "      endpoint_spiffe_id: spiffe://b.org/c }\n";
  CHECK(
      errors_of(c_org) ==
      "a.yaml:2:5: federation[0]: the endpoint spiffe://b.org/c is of b.org, which is neither our "
      "trust domain nor one of those federated with\n");
  CHECK(errors_of(c_org +
                  "  - { trust_domain: b.org, url: https://b.org, profile: https_web }\n") == "");
}

TEST_CASE("a trust domain is foreign, and listed once") {
  CHECK(errors_of("  - { trust_domain: example.org, url: https://b.org, profile: https_web }\n") ==
        "a.yaml:2:21: federation[0].trust_domain: must be a foreign trust domain; \"example.org\" "
        "is our own\n");
  CHECK(errors_of("  - { trust_domain: b.org, url: https://b.org, profile: https_web }\n"
                  "  - { trust_domain: b.org, url: https://c.org, profile: https_web }\n") ==
        "a.yaml:3:5: federation[1]: \"b.org\" is listed twice\n");
}

TEST_CASE("at most 100 trust domains are federated with") {
  auto count = [](int number) {
    std::string list;
    for (int i = 0; i < number; ++i) {
      list += "  - { trust_domain: t" + std::to_string(i) +
              ", url: https://b.org, profile: https_web }\n";
    }
    return list;
  };

  CHECK(errors_of(count(100)) == "");
  CHECK(errors_of(count(101)) ==
        "a.yaml:2:3: federation: must hold at most 100 trust domains, got 101\n");
}

}  // namespace
}  // namespace nodepilot
