// The roots of one trust domain.
#pragma once

#include <vector>

#include "agent/base/spiffe_id.h"
#include "rotation/pki/certificate.h"

namespace nodepilot {

// Immutable; shared as shared_ptr<const TrustBundle>. Thread: any.
class TrustBundle {
 public:
  // kInvalidArgument if a root is not a CA certificate or carries a SPIFFE ID with a path
  // (X509-SVID 3.2), or if there is none: an empty bundle is never published. Duplicates collapse.
  static expected<TrustBundle> create(TrustDomain trust_domain, std::vector<Certificate> roots);

  const TrustDomain& trust_domain() const { return trust_domain_; }
  const std::vector<Certificate>& roots() const { return roots_; }
  std::string der() const { return concatenated_der(roots_); }
  std::string pem() const { return concatenated_pem(roots_); }

  friend bool operator==(const TrustBundle&, const TrustBundle&) = default;

 private:
  TrustBundle(TrustDomain trust_domain, std::vector<Certificate> roots)
      : trust_domain_(std::move(trust_domain)), roots_(std::move(roots)) {}
  TrustDomain trust_domain_;
  std::vector<Certificate> roots_;
};

}  // namespace nodepilot
