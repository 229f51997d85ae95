// `sds` of the configuration.
#pragma once

#include <string>

namespace nodepilot {

// How a client checks its peers: with Envoy's SPIFFE validator, which holds each trust domain to
// its own roots, or with one list of roots.
enum class TrustForm { kSpiffeValidator, kTrustedCa };

// SPIRE's names.
struct SecretOptions {
  std::string default_identity = "default";
  std::string own_roots = "ROOTCA";
  std::string all_roots = "ALL";
  TrustForm form = TrustForm::kSpiffeValidator;  // where the client's node does not ask
  bool system_roots = true;
};

}  // namespace nodepilot
