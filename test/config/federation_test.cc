#include "agent/config/federation.h"

#include <doctest/doctest.h>

#include "agent/config/config.h"
#include "test/config/mistakes.h"

namespace nodepilot {
namespace {

// A file with one identity and `federation`, which begins in line 2.
tl::expected<Config, ConfigErrors> read(const std::string& federation) {
  return parse_config("federation:\n" + federation +
                          "trust_domain: example.org\n"
                          "identities: [{ id: /web, match: [\"unix:uid:1\"] }]\n",
                      "a.yaml");
}

std::string errors_of(const std::string& federation) { return mistakes_in(read(federation)); }

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

// A file with one identity and `section` as bundle_endpoint.
tl::expected<Config, ConfigErrors> read_endpoint(const std::string& section) {
  return parse_config("bundle_endpoint: { " + section +
                          " }\n"
                          "trust_domain: example.org\n"
                          "identities: [{ id: /web, match: [\"unix:uid:1\"] }]\n",
                      "a.yaml");
}

std::string endpoint_errors(const std::string& section) {
  return mistakes_in(read_endpoint(section));
}

TEST_CASE("a bundle endpoint of each profile is read as written") {
  auto web = read_endpoint(
      "listen: \"[::]:8443\", profile: https_web, certificate_file: /c.pem, key_file: /k.pem, "
      "path: /bundle, refresh_hint: 1m");
  auto spiffe = read_endpoint("listen: 0.0.0.0:443, profile: https_spiffe, spiffe_id: /endpoint");

  REQUIRE(web);
  REQUIRE(web->publication);
  CHECK(web->publication->address == "::");
  CHECK(web->publication->port == 8443);
  CHECK(web->publication->path == "/bundle");
  CHECK(web->publication->refresh_hint == std::chrono::seconds(60));
  const auto& files = std::get<CertificateFiles>(web->publication->profile);
  CHECK(files.certificate_file == "/c.pem");
  CHECK(files.key_file == "/k.pem");
  CHECK(web->entries.size() == 1);
  REQUIRE(spiffe);
  CHECK(spiffe->publication->address == "0.0.0.0");
  CHECK(spiffe->publication->port == 443);
  CHECK(spiffe->publication->path == "/");
  CHECK(spiffe->publication->refresh_hint == std::chrono::minutes(5));
  CHECK(std::get<SpiffeId>(spiffe->publication->profile).str() == "spiffe://example.org/endpoint");
}

TEST_CASE("the endpoint's SVID is an identity that no caller gets") {
  auto config = read_endpoint("listen: 0.0.0.0:443, profile: https_spiffe, spiffe_id: /web");

  REQUIRE(config);
  REQUIRE(config->entries.size() == 2);
  CHECK(config->entries[1].id == "spiffe://example.org/web#2");
  CHECK(config->entries[1].match == endpoint_selectors());
}

TEST_CASE("a bundle endpoint is off by default, and nothing of it is inferred") {
  CHECK_FALSE(read("  []\n")->publication);
  CHECK(endpoint_errors("") ==
        "a.yaml:1:18: bundle_endpoint: key \"listen\" is missing\n"
        "a.yaml:1:18: bundle_endpoint: key \"profile\" is missing\n");
  CHECK(endpoint_errors("listen: 0.0.0.0:1, profile: https_web") ==
        "a.yaml:1:18: bundle_endpoint: key \"certificate_file\" is missing\n"
        "a.yaml:1:18: bundle_endpoint: key \"key_file\" is missing\n");
  CHECK(endpoint_errors("listen: 0.0.0.0:1, profile: https_spiffe") ==
        "a.yaml:1:18: bundle_endpoint: key \"spiffe_id\" is missing\n");
  CHECK(endpoint_errors("listen: 0.0.0.0:1, profile: https_spiffe, spiffe_id: /e, key_file: /k") ==
        "a.yaml:1:87: bundle_endpoint.key_file: is for the profile https_web only\n");
  CHECK(endpoint_errors("listen: 0.0.0.0:1, profile: https_web, certificate_file: /c, key_file: "
                        "/k, spiffe_id: /e") ==
        "a.yaml:1:106: bundle_endpoint.spiffe_id: is for the profile https_spiffe only\n");
}

TEST_CASE("a bundle endpoint's values are checked") {
  const std::string rest = ", profile: https_spiffe, spiffe_id: /e";
  for (const char* listen : {"localhost:1", "0.0.0.0", "\":1\"", "0.0.0.0:0", "0.0.0.0:70000",
                             "\"::1:443\"", "0.0.0.0:1/", "\"[::1]\""}) {
    CAPTURE(listen);
    CHECK(endpoint_errors(std::string("listen: ") + listen + rest)
              .find("must be an IP address and a port, such as 0.0.0.0:8443 or [::]:8443, got ") !=
          std::string::npos);
  }
  for (const char* path : {"bundle", "\"\"", "\"/a b\"", "\"/a?b\"", "\"/a#b\""}) {
    CAPTURE(path);
    CHECK(endpoint_errors("listen: 0.0.0.0:1" + rest + ", path: " + path)
              .find("must be a URL's path such as / or /bundle, got ") != std::string::npos);
  }
  CHECK(endpoint_errors("listen: 0.0.0.0:1" + rest + ", refresh_hint: 61m") ==
        "a.yaml:1:91: bundle_endpoint.refresh_hint: must be between 1s and 1h, got \"61m\"\n");
  CHECK(endpoint_errors("listen: 0.0.0.0:1, profile: https_spiffe, spiffe_id: spiffe://b.org/e") ==
        "a.yaml:1:73: bundle_endpoint.spiffe_id: must be of the trust domain \"example.org\", got "
        "\"spiffe://b.org/e\"\n");
}

}  // namespace
}  // namespace nodepilot
