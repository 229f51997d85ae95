// The keys of one trust domain: roots for X.509-SVIDs, authorities for JWT-SVIDs. Each
// authenticates SVIDs of its own kind only.
#pragma once

#include <vector>

#include "agent/base/spiffe_id.h"
#include "rotation/pki/certificate.h"
#include "rotation/pki/jwt_authority.h"

namespace nodepilot {

// Immutable; shared as shared_ptr<const TrustBundle>. Thread: any.
class TrustBundle {
 public:
  // Our own. kInvalidArgument if a root is not a CA certificate or carries a SPIFFE ID with a path
  // (X509-SVID 3.2), if there is none (an empty bundle is never published), or if two keys share a
  // key ID. Duplicates collapse.
  static expected<TrustBundle> create(TrustDomain trust_domain,
                                      const std::vector<Certificate>& roots,
                                      const std::vector<JwtAuthority>& jwt_authorities = {});

  // Another trust domain's, which may be empty: that revokes all its SVIDs (Trust Domain and Bundle
  // 4.1.3). What does not fit is left out: certificates that cannot sign, and of keys that share a
  // key ID all but the first.
  static TrustBundle foreign(TrustDomain trust_domain, const std::vector<Certificate>& roots,
                             const std::vector<JwtAuthority>& jwt_authorities);

  const TrustDomain& trust_domain() const { return trust_domain_; }
  const std::vector<Certificate>& roots() const { return roots_; }
  const std::vector<JwtAuthority>& jwt_authorities() const { return jwt_authorities_; }
  std::string der() const { return concatenated_der(roots_); }
  std::string pem() const { return concatenated_pem(roots_); }

  // Whether users of X.509-SVIDs, or of JWT-SVIDs, see no difference.
  bool same_roots(const TrustBundle& other) const {
    return trust_domain_ == other.trust_domain_ && roots_ == other.roots_;
  }
  bool same_jwt_authorities(const TrustBundle& other) const {
    return trust_domain_ == other.trust_domain_ && jwt_authorities_ == other.jwt_authorities_;
  }

  friend bool operator==(const TrustBundle&, const TrustBundle&) = default;

 private:
  TrustBundle(TrustDomain trust_domain, std::vector<Certificate> roots,
              std::vector<JwtAuthority> jwt_authorities)
      : trust_domain_(std::move(trust_domain)),
        roots_(std::move(roots)),
        jwt_authorities_(std::move(jwt_authorities)) {}
  TrustDomain trust_domain_;
  std::vector<Certificate> roots_;
  std::vector<JwtAuthority> jwt_authorities_;
};

}  // namespace nodepilot
