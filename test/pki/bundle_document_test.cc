#include "rotation/pki/bundle_document.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "test/pki/jose_key.h"
#include "test/pki/test_ca.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;
using test::JoseKey;
using test::Json;
using test::TestCa;

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TrustDomain domain(const std::string& name = "example.org") {
  return TrustDomain::parse(name).value();
}

std::string base64(const std::string& bytes) {
  char* text = nullptr;
  std::size_t size = 0;
  cjose_base64_encode(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), &text, &size,
                      nullptr);
  std::string encoded(text, size);
  cjose_get_dealloc()(text);
  return encoded;
}

Json x509_jwk(const Certificate& root) {
  return {{"use", "x509-svid"}, {"kty", "EC"}, {"x5c", {base64(root.der())}}};
}

Json jwt_jwk(const JwtAuthority& authority) {
  Json jwk = authority.jwk();
  jwk["use"] = "jwt-svid";
  return jwk;
}

expected<BundleDocument> parse(const Json& document) {
  return parse_bundle_document(domain(), document.dump());
}

std::string why(const std::string& text) {
  auto document = parse_bundle_document(domain(), text);
  if (document) return "accepted";
  CHECK(document.error().code == Code::kInvalidArgument);
  CHECK(has(document.error().message, "bundle of example.org: "));
  return document.error().message;
}

// One root and one JWT key that are good, for others to stand beside.
struct Rig {
  Certificate root = TestCa::root().certificate;
  JwtAuthority authority = JoseKey::p256().authority("k1");
  Json document = {{"keys", {x509_jwk(root), jwt_jwk(authority)}}};

  // What is said of `jwk` between two good ones, which must survive it.
  std::string skipped(const Json& jwk) const {
    auto parsed = parse({{"keys", {x509_jwk(root), jwk, jwt_jwk(authority)}}});
    REQUIRE(parsed.has_value());
    CHECK(parsed->bundle.roots() == std::vector{root});
    CHECK(parsed->bundle.jwt_authorities() == std::vector{authority});
    REQUIRE(parsed->skipped.size() == 1);
    CHECK(has(parsed->skipped[0], "keys[1]: "));
    return parsed->skipped[0];
  }
};

}  // namespace

TEST_CASE("a bundle document yields roots and JWT keys, each of its own use") {
  Rig rig;
  rig.document["spiffe_sequence"] = 12;
  rig.document["spiffe_refresh_hint"] = 300;
  rig.document["more"] = {{"of", "anything"}};

  auto document = parse(rig.document);

  REQUIRE(document.has_value());
  CHECK(document->bundle == TrustBundle::foreign(domain(), {rig.root}, {rig.authority}));
  CHECK(document->sequence == 12);
  CHECK(document->refresh_hint == 300s);
  CHECK(document->skipped.empty());
}

TEST_CASE("sequence and refresh hint may be left out") {
  auto document = parse(Rig().document);

  REQUIRE(document.has_value());
  CHECK_FALSE(document->sequence.has_value());
  CHECK_FALSE(document->refresh_hint.has_value());
}

TEST_CASE("keys is required; an empty list is a bundle that trusts nothing") {
  CHECK(has(why("{}"), "keys is missing"));
  CHECK(has(why(R"({"keys":{}})"), "keys is missing or not a list"));
  CHECK(has(why(R"({"keys":null})"), "keys is missing or not a list"));
  CHECK(has(why("[]"), "not a JSON object"));

  auto document = parse({{"keys", Json::array()}});

  REQUIRE(document.has_value());
  CHECK(document->bundle.roots().empty());
  CHECK(document->bundle.jwt_authorities().empty());
  CHECK(document->bundle.trust_domain() == domain());
}

TEST_CASE("a bundle without a usable key is no error") {
  auto document = parse({{"keys", {{{"kty", "OKP"}, {"use", "jwt-svid"}, {"kid", "a"}}}}});

  REQUIRE(document.has_value());
  CHECK(document->bundle == TrustBundle::foreign(domain(), {}, {}));
  CHECK(document->skipped.size() == 1);
}

TEST_CASE("a JWK that is of no use is skipped alone") {
  Rig rig;
  Json jwt = jwt_jwk(JoseKey::p256().authority("k2"));
  auto jwt_with = [&](const char* name, const Json& value) {
    Json jwk = jwt;
    jwk[name] = value;
    return jwk;
  };

  CHECK(has(rig.skipped("text"), "not an object"));
  CHECK(has(rig.skipped(Json::object()), "it has no use"));
  CHECK(has(rig.skipped(jwt_with("use", nullptr)), "it has no use"));
  CHECK(has(rig.skipped(jwt_with("use", {"jwt-svid"})), "it has no use"));
  CHECK(has(rig.skipped(jwt_with("use", "JWT-SVID")), "its use is \"JWT-SVID\""));
  CHECK(has(rig.skipped(jwt_with("use", "wit-svid")), "its use is \"wit-svid\""));
  CHECK(has(rig.skipped(jwt_with("use", "sig")), "its use is \"sig\""));
  CHECK(has(rig.skipped(jwt_with("kty", "OKP")), "kty is \"OKP\""));
  CHECK(has(rig.skipped(jwt_with("kid", nullptr)), "kid is not a string"));
  CHECK(has(rig.skipped(jwt_with("d", "AAAA")), "private member d"));
}

TEST_CASE("an x509-svid entry without a good first certificate is skipped alone") {
  Rig rig;
  TestCa ca = TestCa::root("other");
  Certificate leaf = ca.leaf(PrivateKey::generate().value(), "spiffe://example.org/web");
  const std::string good = base64(ca.certificate.der());
  auto with_x5c = [&](const Json& x5c) {
    Json jwk = x509_jwk(ca.certificate);
    jwk["x5c"] = x5c;
    return jwk;
  };
  Json without_x5c = x509_jwk(ca.certificate);
  without_x5c.erase("x5c");
  Json upper_case = x509_jwk(ca.certificate);
  upper_case["use"] = "X509-SVID";

  CHECK(has(rig.skipped(without_x5c), "x5c is missing"));
  CHECK(has(rig.skipped(with_x5c(Json::array())), "x5c is missing or empty"));
  CHECK(has(rig.skipped(with_x5c(good)), "x5c is missing or empty"));
  CHECK(has(rig.skipped(with_x5c({1})), "x5c is missing or empty"));
  CHECK(has(rig.skipped(with_x5c({""})), "bad DER"));
  CHECK(has(rig.skipped(with_x5c({"!"})), "x5c is not base64"));
  CHECK(has(rig.skipped(with_x5c({test::base64url(ca.certificate.der() + "\xff\xff")})),
            "x5c is not base64"));
  CHECK(has(rig.skipped(with_x5c({base64(ca.certificate.der() + "x")})), "bytes after its DER"));
  CHECK(has(rig.skipped(with_x5c({base64(leaf.der())})), "cannot sign others"));
  CHECK(has(rig.skipped(with_x5c({base64(leaf.der()), good})), "cannot sign others"));
  CHECK(has(rig.skipped(upper_case), "its use is \"X509-SVID\""));
}

TEST_CASE("of several certificates in x5c the first counts, the rest is not looked at") {
  Certificate a = TestCa::root("a").certificate;
  Certificate b = TestCa::root("b").certificate;
  Json jwk = x509_jwk(a);
  jwk["x5c"].push_back(base64(b.der()));
  jwk["x5c"].push_back(7);

  auto document = parse({{"keys", {jwk}}});

  REQUIRE(document.has_value());
  CHECK(document->bundle.roots() == std::vector{a});
  CHECK(document->skipped.empty());
}

TEST_CASE("a root with any SAN is accepted from another domain") {
  Certificate root =
      TestCa::root("root", [](test::Recipe& r) { r.uri("spiffe://example.com/"); }).certificate;

  CHECK(parse({{"keys", {x509_jwk(root)}}}).value().bundle.roots() == std::vector{root});
}

TEST_CASE("of two keys with one kid the first stays; the same key twice is one") {
  Rig rig;
  Json other = jwt_jwk(JoseKey::p256().authority("k1"));

  auto document = parse({{"keys", {jwt_jwk(rig.authority), other, jwt_jwk(rig.authority)}}});

  REQUIRE(document.has_value());
  CHECK(document->bundle.jwt_authorities() == std::vector{rig.authority});
  CHECK(document->skipped.size() == 2);
  CHECK(has(document->skipped[0], "keys[1]: an earlier key has the same kid"));
}

TEST_CASE("the sequence has 64 bits, exactly") {
  auto sequence = [](const std::string& text) {
    return parse_bundle_document(domain(), R"({"keys":[],"spiffe_sequence":)" + text + "}");
  };

  CHECK(sequence("0").value().sequence == 0);
  CHECK(sequence("9007199254740993").value().sequence == 9007199254740993U);
  CHECK(sequence("9223372036854775807").value().sequence == INT64_MAX);
  CHECK(sequence("18446744073709551615").value().sequence == UINT64_MAX);
  for (const char* bad :
       {"\"12\"", "1.5", "12.0", "-1", "18446744073709551616", "null", "true", "[1]", "1e3"}) {
    CAPTURE(bad);
    auto document = sequence(bad);
    REQUIRE_FALSE(document.has_value());
    CHECK(has(document.error().message, "spiffe_sequence is not a whole number"));
  }
}

TEST_CASE("a refresh hint is whole seconds, cut to a year") {
  auto hint = [](const std::string& text) {
    return parse_bundle_document(domain(), R"({"keys":[],"spiffe_refresh_hint":)" + text + "}");
  };

  CHECK(hint("0").value().refresh_hint == 0s);
  CHECK(hint("300").value().refresh_hint == 300s);
  CHECK(hint("18446744073709551615").value().refresh_hint == 24h * 365);
  for (const char* bad : {"\"300\"", "1.5", "-1", "null"}) {
    CAPTURE(bad);
    auto document = hint(bad);
    REQUIRE_FALSE(document.has_value());
    CHECK(has(document.error().message, "spiffe_refresh_hint is not a whole number"));
  }
}

TEST_CASE("a document is bounded in bytes, depth and keys") {
  Json keys = Json::array();
  for (int i = 0; i < 1000; ++i) keys.push_back(1);
  CHECK(parse({{"keys", keys}}).has_value());
  keys.push_back(1);
  CHECK(has(why(Json{{"keys", keys}}.dump()), "1001 keys, at most 1000"));

  std::string text = R"({"keys":[]})";
  CHECK(why(text + std::string(kMaxBundleDocumentBytes - text.size(), ' ')) == "accepted");
  CHECK(has(why(text + std::string(kMaxBundleDocumentBytes - text.size() + 1, ' ')),
            "at most 1048576 are allowed"));
  CHECK(has(why(R"({"keys":[],"x":)" + std::string(10000, '[') + std::string(10000, ']') + "}"),
            "nested deeper than 16"));
}

TEST_CASE("what is not strict JSON is refused") {
  CHECK(has(why(""), "malformed"));
  CHECK(has(why(R"({"keys":[],"keys":[]})"), "\"keys\" is given twice"));
  CHECK(has(why(R"({"keys":[{"use":"a","use":"b"}]})"), "\"use\" is given twice"));
  CHECK(has(why(R"({"keys":[]} x)"), "malformed"));
}

TEST_CASE("what is written is what the standard says, and reads back the same") {
  Certificate a = TestCa::root("a").certificate;
  JwtAuthority key = JoseKey::p384().authority("k1");
  BundleDocument document{TrustBundle::create(domain(), {a}, {key}).value(), UINT64_MAX, 300s, {}};

  std::string text = write_bundle_document(document);

  Json json = Json::parse(text);
  REQUIRE(json["keys"].size() == 2);
  Json x509 = json["keys"][0];
  CHECK(x509["use"] == "x509-svid");
  CHECK(x509["x5c"] == Json::array({base64(a.der())}));
  CHECK(x509.size() == 6);  // kty, crv, x, y, use, x5c: no kid
  Json as_jwt = x509;
  as_jwt["kid"] = "only to be read";
  CHECK(JwtAuthority::parse_jwk(as_jwt).has_value());
  CHECK(json["keys"][1] == jwt_jwk(key));
  CHECK(json["spiffe_sequence"] == UINT64_MAX);
  CHECK(json["spiffe_refresh_hint"] == 300);
  auto again = parse_bundle_document(domain(), text).value();
  CHECK(again.bundle == document.bundle);
  CHECK(again.sequence == document.sequence);
  CHECK(again.refresh_hint == document.refresh_hint);
  CHECK(again.skipped.empty());
}

TEST_CASE("each root is an entry of its own, RSA ones with n and e") {
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_RSA_gen(2048), EVP_PKEY_free);
  test::Recipe recipe = test::ca_recipe("rsa");
  auto rsa = Certificate::parse_der(test::make_der(recipe, key.get(), key.get(), nullptr)).value();
  auto ec = TestCa::root("ec").certificate;
  BundleDocument document{TrustBundle::create(domain(), {rsa, ec}).value(), {}, {}, {}};

  Json json = Json::parse(write_bundle_document(document));

  REQUIRE(json["keys"].size() == 2);
  CHECK(json["keys"][0]["kty"] == "RSA");
  CHECK(json["keys"][0]["e"] == "AQAB");
  CHECK(test::unbase64url(json["keys"][0]["n"]).size() == 256);
  CHECK(json["keys"][1]["kty"] == "EC");
  CHECK(json.size() == 1);  // no sequence, no hint
}

TEST_CASE("the JWT bundle holds the JWT keys and nothing else") {
  Rig rig;
  auto bundle = TrustBundle::create(domain(), {rig.root}, {rig.authority}).value();

  CHECK(Json::parse(jwt_bundle_json(bundle)) == Json{{"keys", {jwt_jwk(rig.authority)}}});
  CHECK(jwt_bundle_json(TrustBundle::foreign(domain(), {rig.root}, {})) == R"({"keys":[]})");
}

TEST_CASE("a bundle map holds one bundle for each trust domain, by name") {
  Rig rig;
  rig.document["spiffe_sequence"] = 3;
  // Of a bundle in a map the hint is not even looked at.
  rig.document["spiffe_refresh_hint"] = "no number";

  auto map = parse_bundle_map(Json{
      {"trust_domains", {{"example.org", rig.document}, {"b.org", {{"keys", Json::array()}}}}},
      {"more", 1}}.dump());

  REQUIRE(map.has_value());
  REQUIRE(map->size() == 2);
  const BundleDocument& first = map->at(domain());
  CHECK(first.bundle == TrustBundle::foreign(domain(), {rig.root}, {rig.authority}));
  CHECK(first.sequence == 3);
  CHECK_FALSE(first.refresh_hint.has_value());
  CHECK(map->at(domain("b.org")).bundle == TrustBundle::foreign(domain("b.org"), {}, {}));
}

TEST_CASE("a bundle map that is wrong anywhere is refused") {
  auto refusal = [](const std::string& text) {
    auto map = parse_bundle_map(text);
    if (map) return std::string("accepted");
    CHECK(map.error().code == Code::kInvalidArgument);
    return map.error().message;
  };

  CHECK(refusal(R"({"trust_domains":{}})") == "accepted");
  CHECK(has(refusal("{}"), "trust_domains is missing"));
  CHECK(has(refusal("[]"), "trust_domains is missing"));
  CHECK(has(refusal(R"({"trust_domains":[]})"), "trust_domains is missing or not an object"));
  CHECK(has(refusal(R"({"trust_domains":{"a.org":{"keys":[]},"a.org":{"keys":[]}}})"),
            "\"a.org\" is given twice"));
  CHECK(has(refusal(R"({"trust_domains":{"spiffe://a.org":{"keys":[]}}})"), "spiffe://a.org"));
  CHECK(has(refusal(R"({"trust_domains":{"A.org":{"keys":[]}}})"), "A.org"));
  CHECK(has(refusal(R"({"trust_domains":{"a.org":{}}})"), "bundle of a.org: keys is missing"));
  CHECK(has(refusal(R"({"trust_domains":{"a.org":{"keys":[],"spiffe_sequence":-1}}})"),
            "bundle of a.org: spiffe_sequence"));
}

TEST_CASE("a bundle map is bounded in trust domains") {
  Json domains = Json::object();
  for (int i = 0; i <= 1000; ++i) domains["d" + std::to_string(i)] = {{"keys", Json::array()}};

  auto map = parse_bundle_map(Json{{"trust_domains", domains}}.dump());

  REQUIRE_FALSE(map.has_value());
  CHECK(has(map.error().message, "1001 trust domains, at most 1000"));
}

TEST_CASE("a written bundle map reads back, without refresh hints") {
  Rig rig;
  BundleMap map;
  map.emplace(
      domain(),
      BundleDocument{TrustBundle::foreign(domain(), {rig.root}, {rig.authority}), 7, 300s, {}});

  std::string text = write_bundle_map(map);

  Json json = Json::parse(text);
  CHECK(json.size() == 1);
  CHECK_FALSE(json["trust_domains"]["example.org"].contains("spiffe_refresh_hint"));
  auto again = parse_bundle_map(text).value();
  REQUIRE(again.size() == 1);
  CHECK(again.at(domain()).bundle == map.at(domain()).bundle);
  CHECK(again.at(domain()).sequence == 7);
}

}  // namespace nodepilot
