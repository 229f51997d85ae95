// What signs for us. Implemented in rotation/ca.
#pragma once

#include <vector>

#include "agent/base/entry.h"
#include "rotation/pki/certificate.h"
#include "rotation/pki/csr.h"
#include "rotation/pki/trust_bundle.h"

namespace nodepilot {

// Thread: worker, several at once. Blocks at most for its own deadline. Errors: kUnavailable and
// kDeadlineExceeded may pass by themselves, others need a person; both are retried with backoff.
class CertificateAuthority {
 public:
  virtual ~CertificateAuthority() = default;

  virtual const char* name() const = 0;  // "local"

  // A chain for the CSR's key, leaf first, with entry.spiffe_id, entry.dns_names and at most
  // entry.ttl. Not trusted: the caller verifies it (X509Svid::verified).
  virtual expected<std::vector<Certificate>> sign(const Csr& csr, const Entry& entry) = 0;

  // The roots that its chains end in.
  virtual expected<TrustBundle> bundle() = 0;

  // We are ending: calls under way end soon, and all later ones at once. Thread: any.
  virtual void stop() {}
};

}  // namespace nodepilot
