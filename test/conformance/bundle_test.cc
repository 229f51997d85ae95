// Bundle documents and bundle maps: what is written, what is read, and what is skipped.
#include "rotation/pki/bundle_document.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "rotation/pki/jwt_validation.h"
#include "rotation/pki/x509_svid.h"
#include "test/pki/jose_key.h"
#include "test/pki/test_ca.h"

namespace nodepilot {
namespace {

using test::JoseKey;
using test::Json;
using test::noon;
using test::TestCa;

TrustDomain domain(const std::string& name = "example.org") {
  return TrustDomain::parse(name).value();
}

// Two roots and a JWT key, and the document that holds them.
struct Rig {
  TestCa first = TestCa::root("first");
  TestCa second = TestCa::root("second");
  JoseKey key = JoseKey::p256();
  TrustBundle bundle =
      TrustBundle::create(domain(), {first.certificate, second.certificate}, {key.authority("jwt")})
          .value();
  Json document = Json::parse(write_bundle_document(
      {.bundle = bundle, .sequence = 7, .refresh_hint = std::chrono::seconds(300), .skipped = {}}));

  Json& root(std::size_t i = 0) { return document["keys"][i]; }
  expected<BundleDocument> parse() const {
    return parse_bundle_document(domain(), document.dump());
  }
  std::vector<Certificate> roots() const { return parse().value().bundle.roots(); }

  // Whether what is read vouches for an SVID of `ca`.
  bool trusts(const TestCa& ca) const {
    auto leaf = ca.leaf(PrivateKey::generate().value(), "spiffe://example.org/web");
    return verify_peer_chain({leaf}, parse().value().bundle, noon()).has_value();
  }
  // ... and for a token signed by the JWT key.
  bool trusts_tokens() const {
    auto end = std::chrono::duration_cast<std::chrono::seconds>(noon().time_since_epoch()) +
               std::chrono::minutes(5);
    std::string token =
        key.sign({{"alg", "ES256"}, {"kid", "jwt"}},
                 Json{{"sub", "spiffe://example.org/web"}, {"aud", "api"}, {"exp", end.count()}});
    TrustBundle read = parse().value().bundle;
    return validate_jwt_svid(
               token, "api", [&](const TrustDomain&) { return &read; }, noon(), Duration(0))
        .has_value();
  }
};

// Those of the JWKs written with this `use`.
std::vector<Json> keys_of(const Json& document, const std::string& use) {
  std::vector<Json> found;
  for (const Json& key : document.at("keys")) {
    if (key.value("use", "") == use) found.push_back(key);
  }
  return found;
}

// A map of one trust domain of this name.
std::string map_of(const std::string& name, const Json& bundle) {
  return Json{{"trust_domains", {{name, bundle}}}}.dump();
}

}  // namespace

TEST_CASE("X509-22 + each root is a JWK of use x509-svid") {
  Rig rig;

  CHECK(keys_of(rig.document, "x509-svid").size() == 2);
  CHECK(rig.roots() == rig.bundle.roots());
}

TEST_CASE("X509-23 - the JWK of a root has no kid") {
  auto roots = keys_of(Rig().document, "x509-svid");

  CHECK(roots.size() == 2);
  for (const Json& jwk : roots) CHECK_FALSE(jwk.contains("kid"));
}

TEST_CASE("X509-24 + the JWK of a root has one certificate, and its key as RFC 7517 has it") {
  Rig rig;

  for (const Json& jwk : keys_of(rig.document, "x509-svid")) {
    CHECK(jwk.at("x5c").size() == 1);
    CHECK(jwk.at("kty") == "EC");
    CHECK(jwk.at("crv") == "P-256");
    CHECK(test::unbase64url(jwk.at("x")).size() == 32);
    CHECK(test::unbase64url(jwk.at("y")).size() == 32);
  }
  for (const Certificate& root : rig.roots()) CHECK(root.is_self_signed());
}

TEST_CASE("X509-25 - a root without x5c is skipped, the others stay") {
  for (const Json& x5c : {Json(), Json::array(), Json(""), Json::array({""}), Json::array({1}),
                          Json::array({"MIIB"}), Json("MIIB")}) {
    Rig rig;
    CAPTURE(x5c.dump());
    if (x5c.is_null()) {
      rig.root().erase("x5c");
    } else {
      rig.root()["x5c"] = x5c;
    }

    REQUIRE(rig.parse());
    CHECK(rig.roots() == std::vector{rig.second.certificate});
    CHECK(rig.trusts_tokens());
  }
}

TEST_CASE("X509-26 - of several certificates in x5c only the first is a root") {
  Rig rig;
  TestCa third = TestCa::root("third");
  Rig other;
  other.bundle = TrustBundle::create(domain(), {third.certificate}).value();
  Json theirs = Json::parse(write_bundle_document(
      {.bundle = other.bundle, .sequence = {}, .refresh_hint = {}, .skipped = {}}));

  rig.root()["x5c"].push_back(theirs["keys"][0]["x5c"][0]);

  CHECK(rig.trusts(rig.first));
  CHECK_FALSE(rig.trusts(third));
}

TEST_CASE("X509-27 - without a root no X509-SVID is believed") {
  Rig rig;
  CHECK(rig.trusts(rig.first));

  rig.document["keys"] = keys_of(rig.document, "jwt-svid");

  CHECK_FALSE(rig.trusts(rig.first));
  CHECK(rig.trusts_tokens());
}

TEST_CASE("JWT-15 + each JWT key is a JWK of use jwt-svid with a kid of its own") {
  auto bundle =
      TrustBundle::create(domain(), {TestCa::root().certificate},
                          {JoseKey::p256().authority("a"), JoseKey::p384().authority("b")})
          .value();

  Json document = Json::parse(
      write_bundle_document({.bundle = bundle, .sequence = {}, .refresh_hint = {}, .skipped = {}}));

  std::set<std::string> kids;
  for (const Json& jwk : keys_of(document, "jwt-svid")) kids.insert(jwk.at("kid"));
  CHECK(kids == std::set<std::string>{"a", "b"});
}

TEST_CASE("JWT-17 - without a JWT key no token is believed") {
  Rig rig;
  CHECK(rig.trusts_tokens());

  rig.document["keys"] = keys_of(rig.document, "x509-svid");

  CHECK_FALSE(rig.trusts_tokens());
  CHECK(rig.trusts(rig.first));
}

TEST_CASE("BN-01 + unknown members of a bundle and of its keys are ignored") {
  Rig rig;
  rig.document["note"] = {{"deep", true}};
  rig.root()["note"] = "x";

  CHECK(rig.parse()->bundle == rig.bundle);
}

TEST_CASE("BN-01 - what is no JWK Set is refused") {
  for (const char* text : {"", "[]", "null", "{\"keys\":{}}", "{\"keys\":[]", "{\"keys\":[]}x"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_bundle_document(domain(), text));
  }
}

TEST_CASE("BN-03 + a sequence beyond the reach of a double is exact") {
  for (std::uint64_t sequence : {(std::uint64_t{1} << 53) + 1, (std::uint64_t{1} << 63) - 1}) {
    Rig rig;
    rig.document["spiffe_sequence"] = sequence;

    CHECK(rig.parse()->sequence == sequence);
  }
}

TEST_CASE("BN-03 - a sequence that is no whole number is refused") {
  for (const Json& sequence : {Json("12"), Json(1.5), Json(-1), Json(1e30), Json(true)}) {
    Rig rig;
    CAPTURE(sequence.dump());
    rig.document["spiffe_sequence"] = sequence;

    CHECK_FALSE(rig.parse());
  }
}

TEST_CASE("BN-04 + a refresh hint is whole seconds, in what is written and in what is read") {
  Rig rig;

  CHECK(rig.document.at("spiffe_refresh_hint") == 300);
  CHECK(rig.parse()->refresh_hint == std::chrono::seconds(300));
}

TEST_CASE("BN-04 - a refresh hint that is no number of seconds is refused, an absurd one is not") {
  Rig rig;
  for (const Json& hint : {Json("300"), Json(1.5), Json(-1)}) {
    CAPTURE(hint.dump());
    rig.document["spiffe_refresh_hint"] = hint;
    CHECK_FALSE(rig.parse());
  }

  rig.document["spiffe_refresh_hint"] = std::uint64_t{1} << 63;

  CHECK(rig.parse()->refresh_hint <= std::chrono::hours(24) * 366);
}

TEST_CASE("BN-05 + an empty list of keys is a bundle") {
  auto parsed = parse_bundle_document(domain(), R"({"keys":[]})");

  REQUIRE(parsed);
  CHECK(parsed->bundle.roots().empty());
}

TEST_CASE("BN-05 - a document without keys is refused") {
  CHECK_FALSE(parse_bundle_document(domain(), R"({"spiffe_sequence":1})"));
  CHECK_FALSE(parse_bundle_document(domain(), R"({"keys":null})"));
}

TEST_CASE("BN-06 - a key of unknown type or use is skipped, no other") {
  Rig rig;
  Json good = rig.root(1);
  std::vector<Json> bad(7, good);
  bad[0]["use"] = "X509-SVID";
  bad[1]["use"] = "sig";
  bad[2].erase("use");
  bad[3]["use"] = 1;
  bad[4] = {{"kty", "OKP"}, {"crv", "Ed25519"}, {"x", "AA"}, {"use", "jwt-svid"}, {"kid", "okp"}};
  bad[5] = {{"kty", "oct"}, {"k", "AA"}, {"use", "jwt-svid"}, {"kid", "oct"}};
  bad[6] = "no object";
  rig.document["keys"] = bad;
  rig.document["keys"].push_back(good);

  auto parsed = rig.parse();

  REQUIRE(parsed);
  CHECK(parsed->bundle.roots() == std::vector{rig.second.certificate});
  CHECK(parsed->bundle.jwt_authorities().empty());
  CHECK(parsed->skipped.size() == bad.size());
}

TEST_CASE("BN-07 - a bundle without a usable key trusts nobody") {
  Rig rig;
  for (const char* keys : {"[]", R"([{"kty":"EC","use":"sig"}])"}) {
    rig.document["keys"] = Json::parse(keys);

    CHECK_FALSE(rig.trusts(rig.first));
    CHECK_FALSE(rig.trusts_tokens());
  }
}

TEST_CASE("BN-08 + each key written has kty and use, and nothing that nobody defines") {
  const std::set<std::string> x509{"kty", "use", "crv", "x", "y", "x5c"};
  const std::set<std::string> jwt{"kty", "use", "crv", "x", "y", "kid"};
  Rig rig;

  REQUIRE(rig.document.at("keys").size() == 3);
  for (const Json& jwk : rig.document.at("keys")) {
    std::set<std::string> members;
    for (const auto& [name, value] : jwk.items()) members.insert(name);
    CHECK(members == (jwk.at("use") == "jwt-svid" ? jwt : x509));
  }
}

TEST_CASE("BN-10 + a bundle map is keyed by the names of trust domains") {
  Rig rig;

  auto map = parse_bundle_map(map_of("example.org", rig.document));

  REQUIRE(map);
  CHECK(map->at(domain()).bundle == rig.bundle);
  CHECK(Json::parse(write_bundle_map(*map)).at("trust_domains").contains("example.org"));
  CHECK(parse_bundle_map(R"({"trust_domains":{}})")->empty());
}

TEST_CASE("BN-10 - a bundle map without trust_domains, or keyed by IDs, is refused") {
  CHECK_FALSE(parse_bundle_map("{}"));
  CHECK_FALSE(parse_bundle_map(R"({"trust_domains":[]})"));
  CHECK_FALSE(parse_bundle_map(map_of("spiffe://example.org", Rig().document)));
}

TEST_CASE("BN-11 - a name that is there twice is refused") {
  CHECK(parse_bundle_map(R"({"trust_domains":{"a":{"keys":[]},"b":{"keys":[]}}})"));
  CHECK_FALSE(parse_bundle_map(R"({"trust_domains":{"a":{"keys":[]},"a":{"keys":[]}}})"));
}

TEST_CASE("BN-12 + in a bundle map the hint of a single bundle is neither read nor written") {
  Rig rig;
  auto map = parse_bundle_map(map_of("example.org", rig.document));
  REQUIRE(map);

  CHECK_FALSE(map->at(domain()).refresh_hint);
  map->at(domain()).refresh_hint = std::chrono::seconds(300);
  CHECK(write_bundle_map(*map).find("refresh_hint") == std::string::npos);
}

}  // namespace nodepilot
