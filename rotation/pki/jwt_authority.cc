#include "rotation/pki/jwt_authority.h"

#include <fmt/format.h>
#include <openssl/err.h>

#include <algorithm>
#include <array>
#include <bit>
#include <nlohmann/json.hpp>

#include "agent/base/log.h"
#include "rotation/pki/jose.h"

namespace nodepilot {

struct JwtAuthority::Key {
  JwkPtr jose;
  nlohmann::json members;  // in one spelling for one key
  std::string key_id;
  std::string curve_algorithm;  // the one that fits an EC key's curve; empty for RSA
  std::size_t signature_bytes = 0;

  expected<void> set_ec(const nlohmann::json& jwk);
  expected<void> set_rsa(const nlohmann::json& jwk);
};

namespace {

using Json = nlohmann::json;

constexpr std::size_t kMinRsaBits = 2048;
constexpr std::size_t kMaxRsaBits = 4096;
constexpr std::size_t kMaxExponentBytes = 8;

struct Curve {
  std::string_view name;
  cjose_jwk_ec_curve id;
  std::size_t coordinate_bytes;
  std::string_view algorithm;
};
constexpr std::array<Curve, 3> kCurves = {{{"P-256", CJOSE_JWK_EC_P_256, 32, "ES256"},
                                           {"P-384", CJOSE_JWK_EC_P_384, 48, "ES384"},
                                           {"P-521", CJOSE_JWK_EC_P_521, 66, "ES512"}}};
constexpr std::array<std::string_view, 6> kRsaAlgorithms = {"RS256", "RS384", "RS512",
                                                            "PS256", "PS384", "PS512"};

tl::unexpected<Error> refuse(std::string why) {
  return fail(Code::kInvalidArgument, "JWK: " + std::move(why));
}

expected<std::string> text_member(const Json& jwk, const char* name) {
  auto member = jwk.find(name);
  if (member == jwk.end()) return refuse(fmt::format("{} is missing", name));
  if (!member->is_string()) return refuse(fmt::format("{} is not a string", name));
  return member->get<std::string>();
}

expected<std::string> number_member(const Json& jwk, const char* name) {
  auto number = decode_base64url(TRY(text_member(jwk, name)));
  if (!number || number->empty()) return refuse(fmt::format("{} is not base64url", name));
  return *std::move(number);
}

expected<void> check_no_private_members(const Json& jwk) {
  for (const char* name : {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}) {
    if (!jwk.contains(name)) continue;
    return refuse(fmt::format(
        "it holds the private member {}: the key is no secret any more and must be replaced",
        name));
  }
  return {};
}

uint8_t* writable(std::string& bytes) { return reinterpret_cast<uint8_t*>(bytes.data()); }

bool is_odd(const std::string& number) {
  return (static_cast<unsigned char>(number.back()) & 1U) != 0;
}

std::size_t bits_of(const std::string& number) {
  return number.empty() ? 0
                        : number.size() * 8 - static_cast<std::size_t>(std::countl_zero(
                                                  static_cast<unsigned char>(number.front())));
}

// Without the zeros in front that some writers leave.
expected<std::string> integer_member(const Json& jwk, const char* name) {
  auto number = TRY(number_member(jwk, name));
  number.erase(0, std::min(number.find_first_not_of('\0'), number.size()));
  return number;
}

}  // namespace

expected<void> JwtAuthority::Key::set_ec(const Json& jwk) {
  auto name = TRY(text_member(jwk, "crv"));
  const auto* curve = std::find_if(kCurves.begin(), kCurves.end(),
                                   [&](const Curve& known) { return known.name == name; });
  if (curve == kCurves.end()) {
    return refuse("crv is " + quote(name.substr(0, 40)) + "; P-256, P-384 and P-521 are allowed");
  }
  auto x = TRY(number_member(jwk, "x"));
  auto y = TRY(number_member(jwk, "y"));
  if (x.size() != curve->coordinate_bytes || y.size() != curve->coordinate_bytes) {
    return refuse(fmt::format("x and y have {} and {} bytes; with {} both have {}", x.size(),
                              y.size(), name, curve->coordinate_bytes));
  }
  cjose_jwk_ec_keyspec spec{};
  spec.crv = curve->id;
  spec.x = writable(x);
  spec.xlen = x.size();
  spec.y = writable(y);
  spec.ylen = y.size();
  cjose_err error{};
  jose.reset(cjose_jwk_create_EC_spec(&spec, &error));
  if (!jose) return fail_jose(Code::kInvalidArgument, "JWK: no point of " + name, error);
  members = {{"kty", "EC"}, {"crv", name}, {"x", encode_base64url(x)}, {"y", encode_base64url(y)}};
  curve_algorithm = curve->algorithm;
  signature_bytes = 2 * curve->coordinate_bytes;
  return {};
}

expected<void> JwtAuthority::Key::set_rsa(const Json& jwk) {
  auto n = TRY(integer_member(jwk, "n"));
  auto e = TRY(integer_member(jwk, "e"));
  if (bits_of(n) < kMinRsaBits || bits_of(n) > kMaxRsaBits || !is_odd(n)) {
    return refuse(fmt::format("n has {} bits; an odd number of {} to {} is allowed", bits_of(n),
                              kMinRsaBits, kMaxRsaBits));
  }
  // A large exponent makes each verification as slow as the attacker likes.
  if (bits_of(e) < 2 || e.size() > kMaxExponentBytes || !is_odd(e)) {
    return refuse(fmt::format("e has {} bits; an odd number of 2 to {} is allowed", bits_of(e),
                              8 * kMaxExponentBytes));
  }
  cjose_jwk_rsa_keyspec spec{};
  spec.n = writable(n);
  spec.nlen = n.size();
  spec.e = writable(e);
  spec.elen = e.size();
  cjose_err error{};
  jose.reset(cjose_jwk_create_RSA_spec(&spec, &error));
  if (!jose) return fail_jose(Code::kInvalidArgument, "JWK: bad RSA key", error);
  members = {{"kty", "RSA"}, {"n", encode_base64url(n)}, {"e", encode_base64url(e)}};
  signature_bytes = n.size();
  return {};
}

expected<JwtAuthority> JwtAuthority::parse_jwk(const Json& jwk) {
  if (!jwk.is_object()) return refuse("it is not an object");
  TRY(check_no_private_members(jwk));
  auto key = std::make_shared<Key>();
  key->key_id = TRY(text_member(jwk, "kid"));
  if (key->key_id.empty() || key->key_id.size() > kMaxKeyIdBytes) {
    return refuse(
        fmt::format("kid has {} bytes; 1 to {} are allowed", key->key_id.size(), kMaxKeyIdBytes));
  }
  auto type = TRY(text_member(jwk, "kty"));
  if (type == "EC") {
    TRY(key->set_ec(jwk));
  } else if (type == "RSA") {
    TRY(key->set_rsa(jwk));
  } else {
    return refuse("kty is " + quote(type.substr(0, 40)) + "; EC and RSA are allowed");
  }
  key->members["kid"] = key->key_id;
  return JwtAuthority(std::move(key));
}

const std::string& JwtAuthority::key_id() const { return key_->key_id; }

Json JwtAuthority::jwk() const { return key_->members; }

std::size_t JwtAuthority::signature_bytes(std::string_view algorithm) const {
  bool fits = key_->curve_algorithm.empty()
                  ? std::find(kRsaAlgorithms.begin(), kRsaAlgorithms.end(), algorithm) !=
                        kRsaAlgorithms.end()
                  : key_->curve_algorithm == algorithm;
  return fits ? key_->signature_bytes : 0;
}

bool JwtAuthority::has_signed(std::string_view token) const {
  cjose_err error{};
  JwsPtr jws(cjose_jws_import(token.data(), token.size(), &error));
  bool is_good = jws && cjose_jws_verify(jws.get(), key_->jose.get(), &error);
  ERR_clear_error();
  return is_good;
}

bool operator==(const JwtAuthority& a, const JwtAuthority& b) {
  return a.key_ == b.key_ || a.key_->members == b.key_->members;
}

}  // namespace nodepilot
