// What signs JWT-SVIDs for us. Implemented in rotation/ca, beside CertificateAuthority.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "rotation/pki/jwt_svid.h"

namespace nodepilot {

// Thread: worker, several at once. Blocks at most for its own deadline. Errors: kUnavailable and
// kDeadlineExceeded may pass by themselves, others need a person.
class JwtSigner {
 public:
  virtual ~JwtSigner() = default;

  // A token for `id` and every value of `audience` (none is kInvalidArgument), valid from now for
  // at most `ttl`. The key that verifies it is in the CA's bundle().
  virtual expected<JwtSvid> sign_jwt(const SpiffeId& id, const std::vector<std::string>& audience,
                                     std::chrono::seconds ttl) = 0;
};

}  // namespace nodepilot
