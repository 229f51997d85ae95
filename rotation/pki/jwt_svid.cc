#include "rotation/pki/jwt_svid.h"

#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "rotation/pki/jose.h"
#include "rotation/pki/openssl.h"
#include "rotation/pki/public_key.h"

namespace nodepilot {

struct JwtSigningKey::Jose {
  JwkPtr jwk;
};

namespace {

using Json = nlohmann::json;

constexpr std::size_t kScalarBytes = 32;

expected<JwkPtr> private_jwk(const PrivateKey& key) {
  BIGNUM* raw = nullptr;
  EVP_PKEY_get_bn_param(key.evp(), OSSL_PKEY_PARAM_PRIV_KEY, &raw);
  BignumPtr number(raw);
  SecretBytes scalar(kScalarBytes);
  if (!number || BN_bn2binpad(number.get(), scalar.data(), kScalarBytes) < 0) {
    return fail_openssl(Code::kInternal, "JWT key: read private key");
  }
  cjose_jwk_ec_keyspec spec{};
  spec.crv = CJOSE_JWK_EC_P_256;
  spec.d = scalar.data();
  spec.dlen = scalar.size();
  cjose_err error{};
  JwkPtr jwk(cjose_jwk_create_EC_spec(&spec, &error));
  if (!jwk) return fail_jose(Code::kInternal, "JWT key: import private key", error);
  return jwk;
}

// RFC 7638: the digest of the members that make the key, sorted and without spaces.
std::string thumbprint(const Json& jwk) {
  const std::string text = jwk.dump();
  std::string digest(EVP_MAX_MD_SIZE, '\0');
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), reinterpret_cast<unsigned char*>(digest.data()), &size,
             EVP_sha256(), nullptr);
  digest.resize(size);
  return encode_base64url(digest);
}

expected<void> check_request(const std::vector<std::string>& audience, Time issued_at,
                             Time expires_at) {
  if (audience.empty() || std::count(audience.begin(), audience.end(), "") != 0) {
    return fail(Code::kInvalidArgument,
                "JWT-SVID: at least one audience is needed, and none may be empty");
  }
  if (expires_at <= issued_at) {
    return fail(Code::kInvalidArgument,
                fmt::format("JWT-SVID: it would end at {} and start at {}; its life must be a "
                            "second or more",
                            to_rfc3339(expires_at), to_rfc3339(issued_at)));
  }
  return {};
}

expected<std::string> payload_of(const SpiffeId& id, const std::vector<std::string>& audience,
                                 Time issued_at, Time expires_at) {
  auto seconds = [](Time time) {
    return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
  };
  Json claims = {{"sub", id.str()},
                 {"aud", audience},
                 {"iat", seconds(issued_at)},
                 {"exp", seconds(expires_at)}};
  try {
    return claims.dump();
  } catch (const Json::exception&) {
    return fail(Code::kInvalidArgument, "JWT-SVID: an audience is not UTF-8");
  }
}

}  // namespace

expected<JwtSigningKey> JwtSigningKey::generate() { return create(TRY(PrivateKey::generate())); }

expected<JwtSigningKey> JwtSigningKey::create(PrivateKey key) {
  if (!p256_point(key.evp())) {
    return fail(Code::kInvalidArgument, "JWT key: not an EC key on P-256");
  }
  Json jwk = public_jwk(key.evp());
  jwk["kid"] = thumbprint(jwk);
  auto authority = TRY(JwtAuthority::parse_jwk(jwk));
  auto jose = std::make_shared<const Jose>(Jose{TRY(private_jwk(key))});
  return JwtSigningKey(std::move(key), std::move(authority), std::move(jose));
}

expected<JwtSvid> sign_jwt_svid(const JwtSigningKey& key, const SpiffeId& id,
                                const std::vector<std::string>& audience, Time issued_at,
                                Time expires_at) {
  issued_at = std::chrono::floor<std::chrono::seconds>(issued_at);
  expires_at = std::chrono::floor<std::chrono::seconds>(expires_at);
  TRY(check_request(audience, issued_at, expires_at));
  const std::string payload = TRY(payload_of(id, audience, issued_at, expires_at));

  cjose_err error{};
  JoseHeaderPtr header(cjose_header_new(&error));
  if (!header || !cjose_header_set(header.get(), "alg", "ES256", &error) ||
      !cjose_header_set(header.get(), "kid", key.key_id().c_str(), &error) ||
      !cjose_header_set(header.get(), "typ", "JWT", &error)) {
    return fail_jose(Code::kInternal, "JWT-SVID: header", error);
  }
  JwsPtr jws(cjose_jws_sign(key.jose_->jwk.get(), header.get(), bytes_of(payload), payload.size(),
                            &error));
  const char* token = nullptr;
  if (!jws || !cjose_jws_export(jws.get(), &token, &error)) {
    return fail_jose(Code::kInternal, "JWT-SVID: sign", error);
  }
  JwtSvid svid{id, token, issued_at, expires_at};
  if (svid.token.size() > kMaxJwtBytes) {
    return fail(Code::kInvalidArgument,
                fmt::format("JWT-SVID: {} bytes with this audience, at most {} are allowed",
                            svid.token.size(), kMaxJwtBytes));
  }
  return svid;
}

}  // namespace nodepilot
