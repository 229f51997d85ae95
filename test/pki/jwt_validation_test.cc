#include "rotation/pki/jwt_validation.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "rotation/pki/jwt_svid.h"
#include "test/pki/jose_key.h"
#include "test/pki/test_ca.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;
using test::base64url;
using test::JoseKey;
using test::Json;
using test::noon;
using test::unbase64url;

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TrustDomain domain(const std::string& name = "example.org") {
  return TrustDomain::parse(name).value();
}

std::int64_t seconds_of(Time time) {
  return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
}

const JoseKey& rsa_key() {
  static const JoseKey key = JoseKey::rsa();
  return key;
}

// One trusted domain with one key of each kind, and a token that is good until it is changed.
struct Rig {
  JoseKey p256 = JoseKey::p256();
  JoseKey p384 = JoseKey::p384();
  JoseKey p521 = JoseKey::p521();
  const JoseKey& rsa = rsa_key();
  std::vector<TrustBundle> bundles{
      TrustBundle::foreign(domain(), {},
                           {p256.authority("p256"), p384.authority("p384"), p521.authority("p521"),
                            rsa.authority("rsa")})};
  Json header = {{"alg", "ES256"}, {"kid", "p256"}, {"typ", "JWT"}};
  Json claims = {{"sub", "spiffe://example.org/web"},
                 {"aud", {"api"}},
                 {"exp", seconds_of(noon() + 5min)},
                 {"iat", seconds_of(noon())}};

  expected<ValidatedJwt> validate(const std::string& token, const std::string& audience = "api",
                                  Duration leeway = Duration(0)) const {
    auto lookup = [this](const TrustDomain& name) -> const TrustBundle* {
      for (const TrustBundle& bundle : bundles) {
        if (bundle.trust_domain() == name) return &bundle;
      }
      return nullptr;
    };
    return validate_jwt_svid(token, audience, lookup, noon(), leeway);
  }
  std::string token() const { return p256.sign(header, claims); }
  std::string why(const std::string& token, const std::string& audience = "api") const {
    auto result = validate(token, audience);
    if (result) return "accepted";
    CHECK(result.error().code == Code::kInvalidArgument);
    return result.error().message;
  }
  std::string why() const { return why(token()); }
};

std::string with_header(const std::string& token, const std::string& header) {
  return base64url(header) + token.substr(token.find('.'));
}

}  // namespace

TEST_CASE("a good token yields its subject and all its claims") {
  Rig rig;
  rig.claims["role"] = {{"name", "db"}, {"rows", 9007199254740993}};

  auto result = rig.validate(rig.token());

  REQUIRE(result.has_value());
  CHECK(result->id.str() == "spiffe://example.org/web");
  CHECK(result->claims == rig.claims);
}

TEST_CASE("what we sign is what we accept") {
  auto key = JwtSigningKey::generate().value();
  auto id = SpiffeId::parse("spiffe://example.org/web").value();
  Rig rig;
  rig.bundles = {TrustBundle::foreign(domain(), {}, {key.authority()})};

  auto svid = sign_jwt_svid(key, id, {"api", "db"}, noon(), noon() + 5min).value();

  auto result = rig.validate(svid.token, "db");
  REQUIRE(result.has_value());
  CHECK(result->id == id);
  CHECK(result->claims == Json{{"sub", "spiffe://example.org/web"},
                               {"aud", {"api", "db"}},
                               {"iat", seconds_of(noon())},
                               {"exp", seconds_of(noon() + 5min)}});
}

TEST_CASE("the nine algorithms are accepted, each with a key that fits it") {
  Rig rig;
  auto accepted = [&](const JoseKey& key, const char* kid, const char* algorithm) {
    return rig.validate(key.sign({{"alg", algorithm}, {"kid", kid}}, rig.claims)).has_value();
  };

  CHECK(accepted(rig.p256, "p256", "ES256"));
  CHECK(accepted(rig.p384, "p384", "ES384"));
  CHECK(accepted(rig.p521, "p521", "ES512"));
  for (const char* algorithm : {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}) {
    CAPTURE(algorithm);
    CHECK(accepted(rig.rsa, "rsa", algorithm));
  }
}

TEST_CASE("an algorithm that does not fit the key's type or curve is refused") {
  Rig rig;
  // cjose signs with any curve, so that these signatures are good as far as it can tell.
  CHECK(has(rig.why(rig.p384.sign({{"alg", "ES256"}, {"kid", "p384"}}, rig.claims)),
            "alg ES256 does not fit"));
  CHECK(has(rig.why(rig.p256.sign({{"alg", "ES512"}, {"kid", "p256"}}, rig.claims)),
            "alg ES512 does not fit"));
  CHECK(has(rig.why(rig.rsa.sign({{"alg", "RS256"}, {"kid", "p256"}}, rig.claims)),
            "alg RS256 does not fit"));
}

TEST_CASE("other algorithms are refused, whatever the rest is like") {
  Rig rig;
  const std::string good = rig.token();
  for (const char* header :
       {R"({"alg":"none"})", R"({"alg":"None"})", R"({"alg":"HS256","kid":"p256"})",
        R"({"alg":"EdDSA"})", R"({"alg":"ES256K"})", R"({"alg":"es256"})", R"({"alg":["ES256"]})",
        R"({"alg":null})", R"({"kid":"p256"})", R"({"alg":"","typ":"x","crit":["y"]})"}) {
    CAPTURE(header);
    CHECK(has(rig.why(with_header(good, header)), "alg is none of"));
  }
  CHECK(has(rig.why(base64url(R"({"alg":"none"})") + ".e30."), "compact form"));
}

TEST_CASE("a public key is not taken for an HMAC secret") {
  Rig rig;
  JoseKey secret = JoseKey::secret(rig.rsa.jwk("rsa").dump());

  CHECK(
      has(rig.why(secret.sign({{"alg", "HS256"}, {"kid", "rsa"}}, rig.claims)), "alg is none of"));
}

TEST_CASE("only the compact form is read") {
  Rig rig;
  const std::string good = rig.token();
  const auto first = good.find('.');
  const auto last = good.rfind('.');
  for (const std::string& token :
       {std::string(), std::string("."), std::string(".."), good + ".", good + ".x.y", "." + good,
        good.substr(0, last), good.substr(0, last + 1), good.substr(first),
        good.substr(0, first + 1) + good.substr(last),
        Json{{"protected", good.substr(0, first)},
             {"payload", good.substr(first + 1, last - first - 1)},
             {"signature", good.substr(last + 1)}}
            .dump()}) {
    CHECK(has(rig.why(token), "compact form"));
  }
}

TEST_CASE("base64url is unpadded and has one spelling") {
  Rig rig;
  const std::string good = rig.token();
  const auto last = good.rfind('.');
  // 64 bytes leave 4 loose bits in the last character.
  std::string loose = good;
  loose.back() = good.back() == 'A' ? 'B' : static_cast<char>(good.back() + 1);

  CHECK(has(rig.why(good + "=="), "signature is not base64url"));
  CHECK(has(rig.why(loose), "signature is not base64url"));
  CHECK(has(rig.why(good.substr(0, good.size() - 1) + "+"), "signature is not base64url"));
  CHECK(has(rig.why(good.substr(0, last) + "=" + good.substr(last)), "payload is not base64url"));
  CHECK(has(rig.why("=" + good), "header is not base64url"));
  CHECK(has(rig.why(" " + good), "header is not base64url"));
  CHECK(has(rig.why(good + "\n"), "signature is not base64url"));
  CHECK(has(rig.why(good + std::string(1, '\0')), "signature is not base64url"));
}

TEST_CASE("a token of a megabyte is refused unread") {
  Rig rig;

  CHECK(has(rig.why(std::string(1 << 20, '.')), "at most 65536 are allowed"));
}

TEST_CASE("deep JSON in a token is refused") {
  Rig rig;
  std::string deep = std::string(10000, '[') + std::string(10000, ']');

  CHECK(has(rig.why(rig.p256.sign(rig.header, "{\"a\":" + deep + "}")), "nested deeper"));
  CHECK(has(rig.why(with_header(rig.token(), "{\"a\":" + deep + "}")), "nested deeper"));
}

TEST_CASE("duplicate members are refused in header and payload") {
  Rig rig;

  CHECK(has(rig.why(with_header(rig.token(), R"({"alg":"none","alg":"ES256","kid":"p256"})")),
            "header: JSON: member \"alg\" is given twice"));
  CHECK(has(rig.why(rig.p256.sign(rig.header, std::string(R"({"sub":"spiffe://example.org/a",)"
                                                          R"("sub":"spiffe://example.org/b"})"))),
            "payload: JSON: member \"sub\" is given twice"));
}

TEST_CASE("header and payload are JSON objects") {
  Rig rig;
  const std::string good = rig.token();

  CHECK(has(rig.why(with_header(good, "[]")), "header is not a JSON object"));
  CHECK(has(rig.why(with_header(good, "x")), "header: JSON: malformed"));
  CHECK(has(rig.why(rig.p256.sign(rig.header, std::string("\"text\""))),
            "payload is not a JSON object"));
}

TEST_CASE("typ is JWT or JOSE or left out") {
  Rig rig;
  for (const Json& typ : {Json("JWT"), Json("JOSE")}) {
    rig.header["typ"] = typ;
    CHECK(rig.why() == "accepted");
  }
  for (const Json& typ : {Json("wit+jwt"), Json("at+jwt"), Json("jwt"), Json(""), Json(nullptr)}) {
    rig.header["typ"] = typ;
    CHECK(has(rig.why(), "typ is neither"));
  }
  rig.header.erase("typ");
  CHECK(rig.why() == "accepted");
}

TEST_CASE("crit is refused, for no extension is known") {
  Rig rig;
  rig.header["crit"] = {"exp"};

  CHECK(has(rig.why(), "crit"));
}

TEST_CASE("what a header says about keys besides kid is ignored") {
  Rig rig;
  JoseKey mallory = JoseKey::p256();
  rig.header["jwk"] = mallory.jwk("p256");
  rig.header["jku"] = "https://mallory.example/keys";
  rig.header["x5u"] = "https://mallory.example/cert";
  rig.header["x5c"] = {"AAAA"};

  CHECK(rig.why() == "accepted");
  CHECK(has(rig.why(mallory.sign(rig.header, rig.claims)), "not by a key of example.org"));
}

TEST_CASE("without kid the keys that fit are tried, up to a bound") {
  Rig rig;
  rig.header.erase("kid");
  CHECK(rig.why() == "accepted");

  auto put_keys_before_ours = [&](int count) {
    std::vector<JwtAuthority> keys;
    keys.reserve(18);
    for (int i = 0; i < count; ++i) {
      keys.push_back(JoseKey::p256().authority("other-" + std::to_string(i)));
    }
    keys.push_back(rig.p384.authority("p384"));
    keys.push_back(rig.p256.authority("p256"));
    rig.bundles = {TrustBundle::foreign(domain(), {}, keys)};
  };
  put_keys_before_ours(15);
  CHECK(rig.why() == "accepted");
  put_keys_before_ours(16);
  CHECK(has(rig.why(), "a kid is needed"));
  put_keys_before_ours(0);
  CHECK(has(rig.why(rig.rsa.sign({{"alg", "RS256"}}, rig.claims)), "fits alg RS256"));
}

TEST_CASE("a kid names one key, exactly") {
  Rig rig;
  for (const char* kid : {"P256", "p25", "", "p384 "}) {
    rig.header["kid"] = kid;
    CHECK(has(rig.why(), "no JWT key of example.org has this kid"));
  }
  rig.header["kid"] = 7;
  CHECK(has(rig.why(), "kid is not a string"));
}

TEST_CASE("each part is under the signature") {
  Rig rig;
  const std::string good = rig.token();
  const auto first = good.find('.');
  const auto last = good.rfind('.');
  Json other = rig.claims;
  other["sub"] = "spiffe://example.org/admin";
  std::string signature = unbase64url(good.substr(last + 1));
  signature[5] = static_cast<char>(signature[5] ^ 1);

  CHECK(has(rig.why(good.substr(0, first + 1) + base64url(other.dump()) + good.substr(last)),
            "not by a key of"));
  CHECK(has(rig.why(with_header(good, R"({"alg":"ES256","kid":"p256"})")), "not by a key of"));
  CHECK(has(rig.why(good.substr(0, last + 1) + base64url(signature)), "not by a key of"));
}

TEST_CASE("ECDSA signatures of another length, or in DER, are refused") {
  Rig rig;
  const std::string good = rig.token();
  const auto last = good.rfind('.');
  const std::string signature = unbase64url(good.substr(last + 1));
  const std::string zero(1, '\0');
  // The same two numbers, but with a zero more in front of each: cjose alone would accept this.
  const std::string longer = zero + signature.substr(0, 32) + zero + signature.substr(32);
  const std::string der =
      "\x30\x44\x02\x20" + signature.substr(0, 32) + "\x02\x20" + signature.substr(32);

  for (const std::string& bad : {longer, der, signature.substr(0, 63), signature + zero,
                                 std::string("x"), std::string(64, '\0')}) {
    CHECK(has(rig.why(good.substr(0, last + 1) + base64url(bad)), "not by a key of"));
  }
}

TEST_CASE("a missing, malformed or past exp is refused") {
  Rig rig;
  auto why = [&](const std::string& exp) {
    return rig.why(rig.p256.sign(rig.header, R"({"sub":"spiffe://example.org/web","aud":"api")" +
                                                 (exp.empty() ? "" : ",\"exp\":" + exp) + "}"));
  };
  const std::string now = std::to_string(seconds_of(noon()));
  const std::string later = std::to_string(seconds_of(noon()) + 1);

  CHECK(why(later) == "accepted");
  CHECK(why(now + ".5") == "accepted");
  CHECK(why("253402300799") == "accepted");
  CHECK(has(why(""), "exp is missing"));
  for (const std::string& exp : {"\"" + later + "\"", std::string("null"), std::string("true"),
                                 "[" + later + "]", std::string("{}")}) {
    CAPTURE(exp);
    CHECK(has(why(exp), "exp is missing or not a number"));
  }
  for (const char* exp : {"253402300800", "1e18", "1e308", "-1", "9223372036854775807",
                          "18446744073709551615", "18446744073709551616"}) {
    CAPTURE(exp);
    CHECK(has(why(exp), "exp is not a date"));
  }
  CHECK(has(why("1e999"), "JSON: malformed"));
  CHECK(has(why("NaN"), "JSON: malformed"));
  CHECK(has(why(now), "expired at 2026-03-01T12:00:00Z"));
  CHECK(has(why("0"), "expired at 1970-01-01T00:00:00Z"));
}

TEST_CASE("leeway is added to exp and taken from nbf, and no more") {
  Rig rig;
  auto accepted = [&](Time exp, Time nbf) {
    rig.claims["exp"] = seconds_of(exp);
    rig.claims["nbf"] = seconds_of(nbf);
    return rig.validate(rig.token(), "api", 30s).has_value();
  };

  CHECK(accepted(noon() - 29s, noon()));
  CHECK_FALSE(accepted(noon() - 30s, noon()));
  CHECK_FALSE(accepted(noon() - 31s, noon()));
  CHECK(accepted(noon() + 5min, noon() + 30s));
  CHECK_FALSE(accepted(noon() + 5min, noon() + 31s));
}

TEST_CASE("nbf is honoured, and a malformed one refused") {
  Rig rig;
  rig.claims["nbf"] = seconds_of(noon());
  CHECK(rig.why() == "accepted");
  rig.claims["nbf"] = seconds_of(noon()) + 1;
  CHECK(has(rig.why(), "not valid before 2026-03-01T12:00:01Z"));
  rig.claims["nbf"] = "0";
  CHECK(has(rig.why(), "nbf is missing or not a number"));
}

TEST_CASE("a future iat is no reason to refuse, nor is a jti seen before") {
  Rig rig;
  rig.claims["iat"] = seconds_of(noon() + 1h);
  rig.claims["jti"] = "once";

  CHECK(rig.why() == "accepted");
  CHECK(rig.why() == "accepted");
}

TEST_CASE("aud is a string or a list that names our audience exactly") {
  Rig rig;
  for (const Json& aud : {Json("api"), Json{"api"}, Json{"db", "api"}}) {
    rig.claims["aud"] = aud;
    CHECK(rig.why() == "accepted");
  }
  for (const Json& aud : {Json::array(), Json(""), Json("ap"), Json("API"), Json("api/"),
                          Json("api db"), Json{"db", "apis"}}) {
    rig.claims["aud"] = aud;
    CHECK(has(rig.why(), "aud does not name"));
  }
  for (const Json& aud : {Json(nullptr), Json(1), Json{{"api", true}}, Json{"api", 1}}) {
    rig.claims["aud"] = aud;
    CHECK(has(rig.why(), "aud is missing, or neither"));
  }
  rig.claims.erase("aud");
  CHECK(has(rig.why(), "aud is missing"));
}

TEST_CASE("nobody is the audience of everything") {
  Rig rig;
  rig.claims["aud"] = {"", "api"};

  CHECK(has(rig.why(rig.token(), ""), "no audience to check for"));
}

TEST_CASE("sub is a SPIFFE ID, with or without a path") {
  Rig rig;
  rig.claims["sub"] = "spiffe://example.org";
  CHECK(rig.why() == "accepted");
  for (const Json& sub :
       {Json("web"), Json(""), Json("spiffe://Example.org/web"), Json("spiffe://example.org/a//b"),
        Json(std::string("spiffe://example.org/web\0x", 26))}) {
    rig.claims["sub"] = sub;
    CHECK(has(rig.why(), "sub: SPIFFE ID"));
  }
  rig.claims["sub"] = {"spiffe://example.org/web"};
  CHECK(has(rig.why(), "sub is missing or not a string"));
  rig.claims.erase("sub");
  CHECK(has(rig.why(), "sub is missing or not a string"));
}

TEST_CASE("a key of one trust domain does not speak for another, whatever its kid") {
  Rig rig;
  JoseKey theirs = JoseKey::p256();
  rig.bundles.push_back(TrustBundle::foreign(domain("other.org"), {}, {theirs.authority("p256")}));
  rig.claims["sub"] = "spiffe://other.org/web";

  CHECK(rig.why(theirs.sign(rig.header, rig.claims)) == "accepted");
  CHECK(has(rig.why(), "not by a key of other.org"));
}

TEST_CASE("a domain without a bundle, or without JWT keys, is not trusted") {
  Rig rig;
  rig.claims["sub"] = "spiffe://unknown.org/web";
  CHECK(has(rig.why(), "trust domain unknown.org is not trusted"));

  rig.claims["sub"] = "spiffe://example.org/web";
  rig.bundles = {TrustBundle::foreign(domain(), {test::TestCa::root().certificate}, {})};
  CHECK(has(rig.why(), "no JWT key of example.org"));
}

TEST_CASE("a lookup that returns another domain's bundle is not believed") {
  Rig rig;
  rig.claims["sub"] = "spiffe://other.org/web";
  auto lookup = [&](const TrustDomain&) { return &rig.bundles[0]; };

  CHECK_FALSE(validate_jwt_svid(rig.token(), "api", lookup, noon(), Duration(0)).has_value());
}

TEST_CASE("no error holds the token, its payload or its signature") {
  Rig rig;
  rig.claims["secret"] = "s3cr3t";
  rig.claims["exp"] = 0;
  const std::string token = rig.token();
  const auto last = token.rfind('.');

  for (const std::string& bad :
       {token, token + "x", token.substr(0, last), with_header(token, R"({"alg":"none"})"),
        token.substr(0, last + 1) + std::string(86, 'A')}) {
    std::string why = rig.why(bad);
    CHECK_FALSE(has(why, token.substr(0, 8)));
    CHECK_FALSE(has(why, token.substr(last + 1, 8)));
    CHECK_FALSE(has(why, "s3cr3t"));
  }
}

}  // namespace nodepilot
