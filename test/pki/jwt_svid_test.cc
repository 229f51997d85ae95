#include "rotation/pki/jwt_svid.h"

#include <doctest/doctest.h>
#include <openssl/pem.h>

#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "test/pki/jose_key.h"
#include "test/pki/test_ca.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;
using test::Json;
using test::noon;
using test::unbase64url;

SpiffeId id() { return SpiffeId::parse("spiffe://example.org/web").value(); }

Json part(const std::string& token, int number) {
  std::size_t start = 0;
  for (int i = 0; i < number; ++i) start = token.find('.', start) + 1;
  return Json::parse(unbase64url(token.substr(start, token.find('.', start) - start)));
}

}  // namespace

TEST_CASE("a token has three headers and four claims, and no more") {
  auto key = JwtSigningKey::generate().value();

  auto svid = sign_jwt_svid(key, id(), {"api", "db"}, noon() + 250ms, noon() + 5min + 999ms);

  REQUIRE(svid.has_value());
  CHECK(svid->id == id());
  CHECK(svid->issued_at == noon());
  CHECK(svid->expires_at == noon() + 5min);
  CHECK(part(svid->token, 0) == Json{{"alg", "ES256"}, {"kid", key.key_id()}, {"typ", "JWT"}});
  CHECK(part(svid->token, 1) == Json{{"sub", "spiffe://example.org/web"},
                                     {"aud", {"api", "db"}},
                                     {"iat", 1772366400},
                                     {"exp", 1772366700}});
  CHECK(key.authority().has_signed(svid->token));
}

TEST_CASE("one audience is a list too") {
  auto key = JwtSigningKey::generate().value();

  auto svid = sign_jwt_svid(key, id(), {"api"}, noon(), noon() + 1s).value();

  CHECK(part(svid.token, 1)["aud"] == Json::array({"api"}));
}

TEST_CASE("another key has not signed it") {
  auto key = JwtSigningKey::generate().value();
  auto other = JwtSigningKey::generate().value();

  auto svid = sign_jwt_svid(key, id(), {"api"}, noon(), noon() + 5min).value();

  CHECK_FALSE(other.authority().has_signed(svid.token));
  CHECK(other.key_id() != key.key_id());
}

TEST_CASE("a key read back from its PEM is the same key with the same ID") {
  auto key = JwtSigningKey::generate().value();

  auto again =
      JwtSigningKey::create(PrivateKey::parse_pem(key.private_key().pkcs8_pem()).value()).value();

  CHECK(again.authority() == key.authority());
  auto svid = sign_jwt_svid(again, id(), {"api"}, noon(), noon() + 5min).value();
  CHECK(key.authority().has_signed(svid.token));
}

TEST_CASE("the key ID is the key's thumbprint of RFC 7638") {
  auto key = JwtSigningKey::generate().value();
  Json jwk = key.authority().jwk();
  jwk.erase("kid");
  const std::string text = jwk.dump();
  std::string digest(32, '\0');
  EVP_Digest(text.data(), text.size(), reinterpret_cast<unsigned char*>(digest.data()), nullptr,
             EVP_sha256(), nullptr);

  CHECK(text.starts_with(R"({"crv":"P-256","kty":"EC","x":")"));
  CHECK(key.key_id() == test::base64url(digest));
}

TEST_CASE("a signing key is on P-256") {
  PrivateKey p384 = [] {
    std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> made(EVP_EC_gen("P-384"), EVP_PKEY_free);
    std::unique_ptr<BIO, decltype(&BIO_free_all)> text(BIO_new(BIO_s_mem()), BIO_free_all);
    PEM_write_bio_PrivateKey(text.get(), made.get(), nullptr, nullptr, 0, nullptr, nullptr);
    char* bytes = nullptr;
    long size = BIO_get_mem_data(text.get(), &bytes);
    return PrivateKey::parse_pem(SecretBytes(bytes, bytes + size)).value();
  }();

  auto key = JwtSigningKey::create(p384);

  REQUIRE_FALSE(key.has_value());
  CHECK(key.error().message == "JWT key: not an EC key on P-256");
}

TEST_CASE("what cannot be a good token is not signed") {
  auto key = JwtSigningKey::generate().value();
  auto why = [&](const std::vector<std::string>& audience, Duration ttl) {
    auto svid = sign_jwt_svid(key, id(), audience, noon(), noon() + ttl);
    if (svid) return std::string("signed");
    CHECK(svid.error().code == Code::kInvalidArgument);
    return svid.error().message;
  };

  CHECK(why({}, 5min).find("at least one audience") != std::string::npos);
  CHECK(why({""}, 5min).find("none may be empty") != std::string::npos);
  CHECK(why({"api", ""}, 5min).find("none may be empty") != std::string::npos);
  CHECK(why({"\xff"}, 5min).find("not UTF-8") != std::string::npos);
  CHECK(why({"api"}, 0s).find("a second or more") != std::string::npos);
  CHECK(why({"api"}, 999ms).find("a second or more") != std::string::npos);
  CHECK(why({"api"}, -5min).find("a second or more") != std::string::npos);
  CHECK(why({std::string(70000, 'a')}, 5min).find("at most 65536") != std::string::npos);
  CHECK(why({"api"}, 1s) == "signed");
}

TEST_CASE("several threads sign with one key and verify") {
  auto key = JwtSigningKey::generate().value();
  std::array<bool, 4> good{};

  std::vector<std::thread> threads;
  threads.reserve(good.size());
  for (bool& is_good : good) {
    threads.emplace_back([&] {
      is_good = true;
      for (int i = 0; i < 50; ++i) {
        auto svid = sign_jwt_svid(key, id(), {"api"}, noon(), noon() + 5min);
        is_good = is_good && svid && key.authority().has_signed(svid->token);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  CHECK(good == std::array{true, true, true, true});
}

}  // namespace nodepilot
