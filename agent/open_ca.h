// The CA that the configuration names.
#pragma once

#include <functional>
#include <memory>

#include "agent/config/config.h"
#include "agent/workload_tokens.h"
#include "rotation/certificate_authority.h"
#include "rotation/jwt_signer.h"

namespace nodepilot {

struct OpenedCa {
  std::unique_ptr<CertificateAuthority> authority;
  JwtSigner* jwt_signer = nullptr;            // the same object, if it signs JWT-SVIDs
  WorkloadTokens* workload_tokens = nullptr;  // of the authority's, if it needs to know callers
};

// `now` is called from any thread. Errors are those of files that must be there; a CA that cannot
// be reached is none.
expected<OpenedCa> open_ca(const Config& config, std::function<Time()> now);

}  // namespace nodepilot
