#include "agent/open_ca.h"

#include <doctest/doctest.h>

namespace nodepilot {
namespace {

TEST_CASE("the CA that is opened is the one configured, and needs no file yet") {
  auto config = parse_config(
      "trust_domain: example.org\n"
      "ca: { istiod: { addresses: [\"a:1\"], token_file: /no/such/token, "
      "root_file: /no/such/root.pem } }\n"
      "identities: [{ id: /ns/shop/sa/web, match: [\"unix:uid:1\"] }]\n",
      "a.yaml");
  REQUIRE(config);

  auto opened = open_ca(*config, [] { return Time(); });

  REQUIRE(opened);
  CHECK(opened->authority->name() == std::string("istiod"));
  CHECK(opened->jwt_signer == nullptr);
}

}  // namespace
}  // namespace nodepilot
