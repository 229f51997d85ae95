// Keys of every kind that sign tokens of any shape, the bad ones above all. Header only, so that
// tests of several rooms can use it.
#pragma once

#include <cjose/cjose.h>
#include <jansson.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "rotation/pki/jwt_authority.h"

namespace nodepilot::test {

using Json = nlohmann::json;

inline std::string base64url(const std::string& bytes) {
  char* text = nullptr;
  std::size_t size = 0;
  cjose_base64url_encode(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), &text, &size,
                         nullptr);
  std::string encoded(text, size);
  cjose_get_dealloc()(text);
  return encoded;
}

inline std::string unbase64url(const std::string& text) {
  uint8_t* bytes = nullptr;
  std::size_t size = 0;
  cjose_base64url_decode(text.data(), text.size(), &bytes, &size, nullptr);
  std::string decoded(reinterpret_cast<char*>(bytes), size);
  cjose_get_dealloc()(bytes);
  return decoded;
}

class JoseKey {
 public:
  static JoseKey p256() { return JoseKey(cjose_jwk_create_EC_random(CJOSE_JWK_EC_P_256, nullptr)); }
  static JoseKey p384() { return JoseKey(cjose_jwk_create_EC_random(CJOSE_JWK_EC_P_384, nullptr)); }
  static JoseKey p521() { return JoseKey(cjose_jwk_create_EC_random(CJOSE_JWK_EC_P_521, nullptr)); }
  static JoseKey rsa(std::size_t bits = 2048) {
    return JoseKey(cjose_jwk_create_RSA_random(bits, nullptr, 0, nullptr));
  }
  // A shared secret, for HMAC.
  static JoseKey secret(const std::string& bytes) {
    return JoseKey(cjose_jwk_create_oct_spec(reinterpret_cast<const uint8_t*>(bytes.data()),
                                             bytes.size(), nullptr));
  }

  Json jwk(const std::string& key_id) const { return json(key_id, false); }
  Json private_jwk(const std::string& key_id) const { return json(key_id, true); }
  JwtAuthority authority(const std::string& key_id) const {
    return JwtAuthority::parse_jwk(jwk(key_id)).value();
  }

  // A JWS in compact form with just these members in its header.
  std::string sign(const Json& header, const std::string& payload) const {
    std::unique_ptr<cjose_header_t, decltype(&cjose_header_release)> members(
        json_loads(header.dump().c_str(), 0, nullptr), cjose_header_release);
    std::unique_ptr<cjose_jws_t, decltype(&cjose_jws_release)> jws(
        cjose_jws_sign(jwk_.get(), members.get(), reinterpret_cast<const uint8_t*>(payload.data()),
                       payload.size(), nullptr),
        cjose_jws_release);
    const char* token = nullptr;
    if (!jws || !cjose_jws_export(jws.get(), &token, nullptr)) {
      throw std::runtime_error("cannot sign a test token");
    }
    return token;
  }
  std::string sign(const Json& header, const Json& claims) const {
    return sign(header, claims.dump());
  }

 private:
  explicit JoseKey(cjose_jwk_t* jwk) : jwk_(jwk, cjose_jwk_release) {}

  Json json(const std::string& key_id, bool with_private) const {
    char* text = cjose_jwk_to_json(jwk_.get(), with_private, nullptr);
    Json members = Json::parse(text);
    cjose_get_dealloc()(text);
    members["kid"] = key_id;
    return members;
  }

  std::shared_ptr<cjose_jwk_t> jwk_;
};

}  // namespace nodepilot::test
