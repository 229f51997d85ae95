#include "rotation/pki/trust_bundle.h"

#include <doctest/doctest.h>

#include <string>

#include "test/pki/jose_key.h"
#include "test/pki/test_ca.h"

namespace nodepilot {
namespace {

using test::JoseKey;
using test::Recipe;
using test::TestCa;

TrustDomain domain() { return TrustDomain::parse("example.org").value(); }

Certificate root_with(const test::Change& change) {
  return TestCa::root("root", change).certificate;
}

}  // namespace

TEST_CASE("an empty bundle is never made") {
  auto bundle = TrustBundle::create(domain(), {});

  REQUIRE_FALSE(bundle.has_value());
  CHECK(bundle.error().code == Code::kInvalidArgument);
}

TEST_CASE("duplicate roots collapse, and the first order stays") {
  Certificate a = TestCa::root("a").certificate;
  Certificate b = TestCa::root("b").certificate;

  auto bundle = TrustBundle::create(domain(), {b, a, b, Certificate::parse_der(a.der()).value()});

  REQUIRE(bundle.has_value());
  CHECK(bundle->roots() == std::vector{b, a});
  CHECK(bundle->der() == b.der() + a.der());
  CHECK(bundle->pem() == b.pem() + a.pem());
}

TEST_CASE("bundles are equal by domain and roots") {
  Certificate a = TestCa::root("a").certificate;
  Certificate b = TestCa::root("b").certificate;
  auto bundle = TrustBundle::create(domain(), {a}).value();

  CHECK(bundle == TrustBundle::create(domain(), {a}).value());
  CHECK_FALSE(bundle == TrustBundle::create(domain(), {b}).value());
  CHECK_FALSE(bundle ==
              TrustBundle::create(TrustDomain::parse("example.com").value(), {a}).value());
}

TEST_CASE("only certificates that can sign are roots") {
  for (const Certificate& root :
       {root_with([](Recipe& r) { r.basic_constraints = "critical,CA:FALSE"; }),
        root_with([](Recipe& r) { r.basic_constraints = ""; }),
        root_with([](Recipe& r) { r.key_usage = "critical,cRLSign"; })}) {
    auto bundle = TrustBundle::create(domain(), {root});

    REQUIRE_FALSE(bundle.has_value());
    CHECK(bundle.error().message.find("not a CA certificate") != std::string::npos);
  }
}

TEST_CASE("a root may carry its domain's ID, or what is no SPIFFE ID, but no ID with a path") {
  auto accepted = [](const char* uri) {
    return TrustBundle::create(domain(), {root_with([&](Recipe& r) { r.uri(uri); })}).has_value();
  };

  CHECK(accepted("spiffe://example.org"));
  CHECK(accepted("spiffe://example.org/"));
  CHECK(accepted("https://example.org/ca"));
  CHECK_FALSE(accepted("spiffe://example.org/ca"));
}

TEST_CASE("a bundle holds JWT keys beside its roots, each once") {
  Certificate root = TestCa::root().certificate;
  JwtAuthority a = JoseKey::p256().authority("a");
  JwtAuthority b = JoseKey::p384().authority("b");

  auto bundle = TrustBundle::create(domain(), {root}, {b, a, b});

  REQUIRE(bundle.has_value());
  CHECK(bundle->jwt_authorities() == std::vector{b, a});
  CHECK(bundle->der() == root.der());
}

TEST_CASE("two of our JWT keys never share a key ID") {
  Certificate root = TestCa::root().certificate;

  auto bundle = TrustBundle::create(
      domain(), {root}, {JoseKey::p256().authority("a"), JoseKey::p256().authority("a")});

  REQUIRE_FALSE(bundle.has_value());
  CHECK(bundle.error().message.find("key ID \"a\"") != std::string::npos);
}

TEST_CASE("roots and JWT keys are compared apart and together") {
  Certificate root = TestCa::root().certificate;
  Certificate other_root = TestCa::root("other").certificate;
  JwtAuthority key = JoseKey::p256().authority("a");
  auto other_domain = TrustDomain::parse("example.com").value();
  auto bundle = TrustBundle::create(domain(), {root}, {key}).value();
  auto without_key = TrustBundle::create(domain(), {root}).value();
  auto with_other_root = TrustBundle::create(domain(), {other_root}, {key}).value();
  auto of_other_domain = TrustBundle::create(other_domain, {root}, {key}).value();

  CHECK(bundle == TrustBundle::create(domain(), {root}, {key}).value());
  CHECK_FALSE(bundle == without_key);
  CHECK(bundle.same_roots(without_key));
  CHECK_FALSE(bundle.same_jwt_authorities(without_key));
  CHECK_FALSE(bundle.same_roots(with_other_root));
  CHECK(bundle.same_jwt_authorities(with_other_root));
  CHECK_FALSE(bundle.same_roots(of_other_domain));
  CHECK_FALSE(bundle.same_jwt_authorities(of_other_domain));
}

TEST_CASE("a foreign bundle may be empty, and takes what fits") {
  Certificate root = root_with([](Recipe& r) { r.uri("spiffe://example.com/ca"); });
  Certificate leaf = root_with([](Recipe& r) { r.basic_constraints = "critical,CA:FALSE"; });
  JwtAuthority first = JoseKey::p256().authority("a");

  auto empty = TrustBundle::foreign(domain(), {}, {});
  auto bundle = TrustBundle::foreign(domain(), {root, leaf, root},
                                     {first, JoseKey::p256().authority("a"), first});

  CHECK(empty.roots().empty());
  CHECK(empty.der().empty());
  CHECK(bundle.roots() == std::vector{root});
  CHECK(bundle.jwt_authorities() == std::vector{first});
}

}  // namespace nodepilot
