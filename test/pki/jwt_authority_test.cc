#include "rotation/pki/jwt_authority.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "test/pki/jose_key.h"

namespace nodepilot {
namespace {

using test::base64url;
using test::JoseKey;
using test::Json;
using test::unbase64url;

std::string why(const Json& jwk) {
  auto authority = JwtAuthority::parse_jwk(jwk);
  if (authority) return "accepted";
  CHECK(authority.error().code == Code::kInvalidArgument);
  return authority.error().message;
}

Json with(Json jwk, const char* name, const Json& value) {
  jwk[name] = value;
  return jwk;
}

Json without(Json jwk, const char* name) {
  jwk.erase(name);
  return jwk;
}

const Json& rsa_jwk() {
  static const Json jwk = JoseKey::rsa().jwk("r");
  return jwk;
}

}  // namespace

TEST_CASE("a JWK of each kind is read, and comes out as it went in") {
  for (const Json& jwk :
       {JoseKey::p256().jwk("a"), JoseKey::p384().jwk("b"), JoseKey::p521().jwk("c"), rsa_jwk()}) {
    auto authority = JwtAuthority::parse_jwk(jwk);

    REQUIRE(authority.has_value());
    CHECK(authority->key_id() == jwk["kid"]);
    CHECK(authority->jwk() == jwk);
  }
}

TEST_CASE("members that are not the key's are not kept") {
  Json jwk = JoseKey::p256().jwk("a");
  Json more = jwk;
  more.update({{"use", "jwt-svid"}, {"alg", "ES256"}, {"x5c", {"AAAA"}}, {"key_ops", {"verify"}}});

  CHECK(JwtAuthority::parse_jwk(more).value().jwk() == jwk);
}

TEST_CASE("a private member is refused, for the key is no secret any more") {
  CHECK(why(JoseKey::p256().private_jwk("a")).find("private member d") != std::string::npos);
  for (const char* name : {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}) {
    CAPTURE(name);
    CHECK(why(with(rsa_jwk(), name, "AQAB")).find(std::string("private member ") + name) !=
          std::string::npos);
  }
}

TEST_CASE("kid is a string that is neither empty nor endless") {
  Json jwk = JoseKey::p256().jwk("a");

  CHECK(why(without(jwk, "kid")) == "JWK: kid is missing");
  CHECK(why(with(jwk, "kid", 1)) == "JWK: kid is not a string");
  CHECK(why(with(jwk, "kid", "")) == "JWK: kid has 0 bytes; 1 to 1024 are allowed");
  CHECK(why(with(jwk, "kid", std::string(1024, 'k'))) == "accepted");
  CHECK(why(with(jwk, "kid", std::string(1025, 'k'))) ==
        "JWK: kid has 1025 bytes; 1 to 1024 are allowed");
}

TEST_CASE("other types of keys are refused") {
  CHECK(why(Json::array()) == "JWK: it is not an object");
  CHECK(why(without(rsa_jwk(), "kty")) == "JWK: kty is missing");
  for (const char* type : {"OKP", "oct", "ec", "rsa", ""}) {
    CHECK(why(with(rsa_jwk(), "kty", type)) ==
          "JWK: kty is \"" + std::string(type) + "\"; EC and RSA are allowed");
  }
}

TEST_CASE("an EC key is a point of a curve we know, at full width") {
  Json jwk = JoseKey::p256().jwk("a");
  std::string x = unbase64url(jwk["x"]);
  std::string off_curve = x;
  off_curve[31] = static_cast<char>(off_curve[31] ^ 1);

  CHECK(why(with(jwk, "crv", "secp256k1")).find("crv is \"secp256k1\"") != std::string::npos);
  CHECK(why(with(jwk, "crv", "P-384")).find("with P-384 both have 48") != std::string::npos);
  CHECK(why(with(jwk, "x", base64url(x.substr(1)))).find("31 and 32 bytes") != std::string::npos);
  CHECK(why(with(jwk, "x", base64url('\0' + x))).find("33 and 32 bytes") != std::string::npos);
  CHECK(why(with(jwk, "x", base64url(off_curve))).find("no point of P-256") != std::string::npos);
  CHECK(why(with(jwk, "x", base64url(std::string(32, '\0')))).find("no point of P-256") !=
        std::string::npos);
  CHECK(why(with(jwk, "x", jwk["x"].get<std::string>() + "=")) == "JWK: x is not base64url");
  CHECK(why(without(jwk, "y")) == "JWK: y is missing");
}

TEST_CASE("an RSA key has 2048 to 4096 bits and a small odd exponent") {
  auto with_n = [](std::size_t bytes, char first, char last) {
    std::string n(bytes, '\x5a');
    n.front() = first;
    n.back() = last;
    return with(rsa_jwk(), "n", base64url(n));
  };
  auto with_e = [](const std::string& e) { return with(rsa_jwk(), "e", base64url(e)); };

  CHECK(why(JoseKey::rsa(1024).jwk("a")).find("n has 1024 bits") != std::string::npos);
  CHECK(why(with_n(256, '\x7f', 1)).find("n has 2047 bits") != std::string::npos);
  CHECK(why(with_n(256, '\x80', 1)) == "accepted");
  CHECK(why(with_n(512, '\xff', 1)) == "accepted");
  CHECK(why(with_n(513, '\x01', 1)).find("n has 4097 bits") != std::string::npos);
  CHECK(why(with_n(256, '\x80', 2)).find("an odd number") != std::string::npos);
  CHECK(why(with_e("\x03")) == "accepted");
  CHECK(why(with_e("\x01")).find("e has 1 bits") != std::string::npos);
  CHECK(why(with_e("\x04")).find("an odd number") != std::string::npos);
  CHECK(why(with_e(std::string(2, '\0'))).find("e has 0 bits") != std::string::npos);
  CHECK(why(with_e(std::string(8, '\x81'))) == "accepted");
  CHECK(why(with_e(std::string(9, '\x81'))).find("e has 72 bits") != std::string::npos);
}

TEST_CASE("zeros before an RSA number make no other key") {
  Json jwk = rsa_jwk();
  Json padded = with(jwk, "n", base64url('\0' + unbase64url(jwk["n"])));

  auto authority = JwtAuthority::parse_jwk(padded);

  REQUIRE(authority.has_value());
  CHECK(*authority == JwtAuthority::parse_jwk(jwk).value());
  CHECK(authority->jwk() == jwk);
}

TEST_CASE("keys are equal by key and key ID") {
  Json jwk = JoseKey::p256().jwk("a");
  auto authority = JwtAuthority::parse_jwk(jwk).value();

  CHECK(authority == JwtAuthority::parse_jwk(jwk).value());
  CHECK(authority != JwtAuthority::parse_jwk(with(jwk, "kid", "b")).value());
  CHECK(authority != JoseKey::p256().authority("a"));
}

TEST_CASE("a signature's length follows from key and algorithm") {
  auto rsa = JwtAuthority::parse_jwk(rsa_jwk()).value();
  auto p521 = JoseKey::p521().authority("a");

  CHECK(rsa.signature_bytes("PS384") == 256);
  CHECK(rsa.signature_bytes("ES256") == 0);
  CHECK(rsa.signature_bytes("") == 0);
  CHECK(p521.signature_bytes("ES512") == 132);
  CHECK(p521.signature_bytes("ES256") == 0);
  CHECK(JoseKey::p256().authority("a").signature_bytes("ES256") == 64);
  CHECK(JoseKey::p384().authority("a").signature_bytes("ES384") == 96);
}

}  // namespace nodepilot
