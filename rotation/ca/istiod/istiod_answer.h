// The messages of Istio's CreateCertificate, made and read.
// Thread: any.
#pragma once

#include <vector>

#include "agent/base/entry.h"
#include "proto/istio/ca.pb.h"
#include "rotation/ca/istiod/istiod_options.h"
#include "rotation/pki/certificate.h"
#include "rotation/pki/csr.h"

namespace nodepilot {

istio::v1::auth::IstioCertificateRequest make_istiod_request(const Csr& csr, const Entry& entry,
                                                             const IstiodOptions& options);

struct IstiodAnswer {
  std::vector<Certificate> chain;  // leaf first; 1 to kMaxChainLength
  std::vector<Certificate> roots;  // never empty; not believed yet
};

// kDataLoss says what is wrong: fewer than two elements, one that is no PEM, a chain that is too
// long. Elements may hold several certificates each; the last one holds the roots.
expected<IstiodAnswer> read_istiod_answer(
    const istio::v1::auth::IstioCertificateResponse& response);

// Whether the CA can impersonate to `id`: spiffe://TD/ns/NAMESPACE/sa/ACCOUNT. kInvalidArgument.
expected<void> check_kubernetes_id(const SpiffeId& id);

}  // namespace nodepilot
