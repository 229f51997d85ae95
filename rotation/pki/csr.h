// Certificate signing requests: empty subject and exactly one critical URI SAN, the form that
// istiod, its RA mode and istio-csr alike accept.
#pragma once

#include <openssl/types.h>

#include <memory>
#include <string>
#include <string_view>

#include "agent/base/spiffe_id.h"
#include "rotation/pki/private_key.h"

namespace nodepilot {

// Immutable; copies share. Thread: any.
class Csr {
 public:
  // Signed by `key`; asks for `id` and nothing else.
  static expected<Csr> create(const PrivateKey& key, const SpiffeId& id);
  // Also checks that the request is signed by the key it carries.
  static expected<Csr> parse_der(std::string_view der);

  const std::string& der() const { return *der_; }
  std::string pem() const;
  // SubjectPublicKeyInfo, DER.
  const std::string& public_key() const { return *public_key_; }

 private:
  Csr() = default;
  std::shared_ptr<const std::string> der_;
  std::shared_ptr<const std::string> public_key_;
};

}  // namespace nodepilot
