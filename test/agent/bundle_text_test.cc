#include "agent/bundle_text.h"

#include <doctest/doctest.h>

#include "agent/base/clock.h"
#include "rotation/pki/issuer.h"
#include "rotation/pki/jwt_svid.h"

namespace nodepilot {
namespace {

using std::chrono::hours;

const Time kNow = FakeClock().now();

Certificate make_root_of(const std::string& trust_domain) {
  auto key = PrivateKey::generate().value();
  return make_root(key, TrustDomain::parse(trust_domain).value(), {kNow, kNow + hours(48)}).value();
}

JwtAuthority make_jwt_key() { return JwtSigningKey::generate().value().authority(); }

TrustBundle make_bundle(const std::vector<Certificate>& roots,
                        const std::vector<JwtAuthority>& keys) {
  return TrustBundle::foreign(TrustDomain::parse("example.org").value(), roots, keys);
}

TEST_CASE("the table has a line for each root and each JWT key") {
  auto key = make_jwt_key();
  auto bundle = make_bundle({make_root_of("example.org"), make_root_of("example.org")}, {key});

  std::string table = bundle_table({bundle}, kNow);

  CHECK(std::count(table.begin(), table.end(), '\n') == 4);
  CHECK(table.find("2d") != std::string::npos);
  CHECK(table.find(key.key_id()) != std::string::npos);
}

TEST_CASE("an expired root and an empty bundle are called so") {
  auto bundle = make_bundle({make_root_of("example.org")}, {});

  CHECK(bundle_table({bundle}, kNow + hours(49)).find("expired") != std::string::npos);
  CHECK(bundle_table({make_bundle({}, {})}, kNow).find("nobody there is trusted") !=
        std::string::npos);
}

TEST_CASE("bundles that hold the same in another order do not differ") {
  auto a = make_root_of("example.org");
  auto b = make_root_of("example.org");
  auto key = make_jwt_key();

  CHECK(bundle_diff(make_bundle({a, b}, {key}), make_bundle({b, a}, {key})).empty());
}

TEST_CASE("a difference names each key that only one side has") {
  auto common = make_root_of("example.org");
  auto old_key = make_jwt_key();
  auto new_key = make_jwt_key();

  std::string diff = bundle_diff(make_bundle({common}, {old_key}),
                                 make_bundle({common, make_root_of("b.org")}, {new_key}));

  CHECK(diff.find("+ x509 root sha256:") == 0);
  CHECK(diff.find("- jwt key   " + old_key.key_id()) != std::string::npos);
  CHECK(diff.find("+ jwt key   " + new_key.key_id()) != std::string::npos);
  CHECK(std::count(diff.begin(), diff.end(), '\n') == 3);
}

}  // namespace
}  // namespace nodepilot
