// Makes certificates: what an embedded CA needs of X.509.
#pragma once

#include "agent/base/entry.h"
#include "rotation/pki/certificate.h"
#include "rotation/pki/csr.h"
#include "rotation/pki/private_key.h"

namespace nodepilot {

// A self-signed root for `trust_domain`: P-256, critical basicConstraints and keyUsage
// (keyCertSign, cRLSign), URI SAN spiffe://TD (X509-SVID 3.2). Thread: any.
expected<Certificate> make_root(const PrivateKey& key, const TrustDomain& trust_domain,
                                Validity validity);

// A leaf for the CSR's public key. The ID and DNS names come from `entry`, never from the CSR.
// 128-bit random serial. Thread: any.
expected<Certificate> make_leaf(const PrivateKey& issuer_key, const Certificate& issuer,
                                const Csr& csr, const Entry& entry, Validity validity);

}  // namespace nodepilot
