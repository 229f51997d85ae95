// What the standards forbid an operator to ask for.
#include <doctest/doctest.h>

#include <string>

#include "agent/config/config.h"

namespace nodepilot {
namespace {

// The first mistake in a configuration that ends in `more`; "" if there is none.
std::string mistake(const std::string& more) {
  auto config = parse_config(
      "trust_domain: example.org\nidentities:\n  - id: /web\n    match: [\"unix:uid:1\"]\n" + more,
      "a.yaml");
  return config ? "" : config.error().front().str();
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("WE-01 - an address of all hosts is refused as a place to listen") {
  for (const char* address : {"0.0.0.0:8081", "tcp://0.0.0.0:8081", "[::]:8081"}) {
    CAPTURE(address);
    CHECK(has(mistake("listen: { path: \"" + std::string(address) + "\" }\n"), "a.yaml:5:17: "));
  }
}

TEST_CASE("WE-03 + without a word about it a Unix socket is listened on") {
  auto config = parse_config(
      "trust_domain: example.org\nidentities:\n  - { id: /web, match: [\"unix:uid:1\"] }\n", "a");

  REQUIRE(config);
  CHECK(config->listen.path == "/run/nodepilot/public/api.sock");
}

TEST_CASE("WE-04 - no key lets the endpoint listen on TCP") {
  CHECK(mistake("listen: { path: /run/np/public/api.sock }\n") == "");
  for (const char* key : {"address", "tcp", "port", "host"}) {
    CAPTURE(key);
    CHECK(has(mistake("listen: { " + std::string(key) + ": \"10.0.0.1:8081\" }\n"), "unknown key"));
  }
  CHECK(has(mistake("listen: { path: \"tcp://10.0.0.1:8081\" }\n"), "a.yaml:5:17: "));
}

TEST_CASE("WA-12 + a hint of 1024 bytes is accepted") {
  CHECK(mistake("    hint: " + std::string(1024, 'a') + "\n") == "");
}

TEST_CASE("WA-12 - a hint of 1025 bytes is refused") {
  CHECK(has(mistake("    hint: " + std::string(1025, 'a') + "\n"), "at most 1024 bytes"));
}

TEST_CASE("X509-04 - an identity without a path is refused") {
  auto config = parse_config(
      "trust_domain: example.org\nidentities:\n  - { id: \"spiffe://example.org\", "
      "match: [\"unix:uid:1\"] }\n",
      "a.yaml");

  REQUIRE_FALSE(config);
  CHECK(has(config.error().front().message, "must have a path"));
}

}  // namespace nodepilot
