#include "rotation/pki/trust_bundle.h"

#include <doctest/doctest.h>

#include <string>

#include "test/pki/test_ca.h"

namespace nodepilot {
namespace {

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

}  // namespace nodepilot
