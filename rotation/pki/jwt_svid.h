// JWT-SVIDs, and the key of our own that signs them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/base/spiffe_id.h"
#include "agent/base/time.h"
#include "rotation/pki/jwt_authority.h"
#include "rotation/pki/private_key.h"

namespace nodepilot {

inline constexpr std::size_t kMaxJwtBytes = std::size_t{64} * 1024;

// A bearer token: whoever reads it can use it, so it never gets into a log or an error.
struct JwtSvid {
  SpiffeId id;
  std::string token;
  Time issued_at;
  Time expires_at;
};

// Immutable; copies share. Thread: any.
class JwtSigningKey {
 public:
  static expected<JwtSigningKey> generate();
  // kInvalidArgument unless it is EC on P-256. The key ID follows from the key (RFC 7638).
  static expected<JwtSigningKey> create(PrivateKey key);

  const PrivateKey& private_key() const { return key_; }  // for the file that keeps it
  const JwtAuthority& authority() const { return authority_; }
  const std::string& key_id() const { return authority_.key_id(); }

 private:
  friend expected<JwtSvid> sign_jwt_svid(const JwtSigningKey& key, const SpiffeId& id,
                                         const std::vector<std::string>& audience, Time issued_at,
                                         Time expires_at);
  struct Jose;
  JwtSigningKey(PrivateKey key, JwtAuthority authority, std::shared_ptr<const Jose> jose)
      : key_(std::move(key)), authority_(std::move(authority)), jose_(std::move(jose)) {}

  PrivateKey key_;
  JwtAuthority authority_;
  std::shared_ptr<const Jose> jose_;
};

// Headers alg, kid, typ; claims sub, aud (always a list), iat, exp, the times cut to whole seconds.
// kInvalidArgument for an audience that is empty or holds an empty value, for an end that is not
// after the start, and for a token above kMaxJwtBytes.
expected<JwtSvid> sign_jwt_svid(const JwtSigningKey& key, const SpiffeId& id,
                                const std::vector<std::string>& audience, Time issued_at,
                                Time expires_at);

}  // namespace nodepilot
