// One issue: key, CSR, signature, verification.
#pragma once

#include <optional>

#include "agent/base/clock.h"
#include "rotation/certificate_authority.h"
#include "rotation/pki/x509_svid.h"

namespace nodepilot {

struct IssuedSvid {
  X509Svid svid;
  // Set if the chain ends in a root that the bundle at hand did not have, but the CA's present one
  // has. It must be published before the SVID.
  std::optional<TrustBundle> newer_bundle;
};

// All on the calling thread. Roots are believed only when they come from ca.bundle(), never from
// the chain. Thread: worker.
expected<IssuedSvid> issue(CertificateAuthority& ca, const Entry& entry, const TrustBundle& bundle,
                           const Clock& clock);

}  // namespace nodepilot
