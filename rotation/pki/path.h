// Path validation (RFC 5280). For the .cc files of this room only.
#pragma once

#include <vector>

#include "rotation/pki/certificate.h"
#include "rotation/pki/trust_bundle.h"

namespace nodepilot {

struct ValidPath {
  std::vector<Certificate> sent;  // leaf first, each followed by its issuer, no root
  Certificate root;
};

// A valid path at `at` from `leaf` over some of `intermediates`, in any order, to a root of
// `bundle` and nothing else.
expected<ValidPath> validate_path(const Certificate& leaf,
                                  const std::vector<Certificate>& intermediates,
                                  const TrustBundle& bundle, Time at);

}  // namespace nodepilot
