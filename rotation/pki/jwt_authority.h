// A public key with which a trust domain signs JWT-SVIDs (JWT-SVID section 6).
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace nodepilot {

inline constexpr std::size_t kMaxKeyIdBytes = 1024;

// Immutable; copies share. Thread: any.
class JwtAuthority {
 public:
  // A JWK: EC on P-256, P-384 or P-521, or RSA of 2048 to 4096 bits, with `kid` set. `use` is not
  // looked at, other members are ignored; a private member is refused, for such a key is no
  // longer its owner's alone. kInvalidArgument says what is wrong, and quotes no key.
  static expected<JwtAuthority> parse_jwk(const nlohmann::json& jwk);

  const std::string& key_id() const;
  // kid, kty and the public members; `use` is the writer's to add.
  nlohmann::json jwk() const;

  // The length of this key's signatures under `algorithm` ("ES256"); 0 if the key's type or curve
  // does not fit it (RFC 7518 sections 3.3 to 3.5).
  std::size_t signature_bytes(std::string_view algorithm) const;
  // Whether `token`, a JWS in compact form, carries this key's signature under the algorithm that
  // its header names. Form and algorithm are the caller's to check, before.
  bool has_signed(std::string_view token) const;

  friend bool operator==(const JwtAuthority& a, const JwtAuthority& b);

 private:
  struct Key;
  explicit JwtAuthority(std::shared_ptr<const Key> key) : key_(std::move(key)) {}
  std::shared_ptr<const Key> key_;
};

}  // namespace nodepilot
