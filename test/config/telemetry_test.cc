#include "agent/config/telemetry.h"

#include <doctest/doctest.h>

#include "agent/config/config.h"
#include "test/config/mistakes.h"

namespace nodepilot {
namespace {

tl::expected<Config, ConfigErrors> read(const std::string& telemetry) {
  return parse_config("telemetry: " + telemetry +
                          "\ntrust_domain: example.org\n"
                          "identities: [{ id: /web, match: [\"unix:uid:1\"] }]\n",
                      "a.yaml");
}

std::string errors_of(const std::string& telemetry) { return mistakes_in(read(telemetry)); }

TEST_CASE("telemetry is off unless it is asked for") {
  auto config = parse_config(
      "trust_domain: example.org\nidentities: [{ id: /web, match: [\"unix:uid:1\"] }]\n", "a.yaml");

  REQUIRE(config);
  CHECK_FALSE(config->telemetry);
}

TEST_CASE("telemetry is read as written, with series for each identity unless told otherwise") {
  auto plain = read(R"({ listen: "127.0.0.1:9464" })");
  auto few = read(R"({ listen: "[::1]:9000", per_identity: false })");

  REQUIRE(plain);
  CHECK(plain->telemetry->listen.address == "127.0.0.1");
  CHECK(plain->telemetry->listen.port == 9464);
  CHECK(plain->telemetry->per_identity);
  REQUIRE(few);
  CHECK(few->telemetry->listen.address == "::1");
  CHECK_FALSE(few->telemetry->per_identity);
}

TEST_CASE("mistakes in telemetry are named") {
  CHECK(errors_of("{}") == "a.yaml:1:12: telemetry: key \"listen\" is missing\n");
  CHECK(errors_of("{ listen: localhost:9464 }") ==
        "a.yaml:1:22: telemetry.listen: must be an IP address and a port, such as 0.0.0.0:8443 or "
        "[::]:8443, got \"localhost:9464\"\n");
  CHECK(errors_of(R"({ listen: "127.0.0.1" })").find("must be an IP address and a port") !=
        std::string::npos);
  CHECK(errors_of(R"({ listen: "127.0.0.1:9464", per_identity: maybe })")
            .find("telemetry.per_identity") != std::string::npos);
  CHECK(errors_of(R"({ listen: "127.0.0.1:9464", port: 1 })").find("unknown key \"port\"") !=
        std::string::npos);
}

}  // namespace
}  // namespace nodepilot
