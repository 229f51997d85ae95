// Decides whether a JWT-SVID is to be believed (JWT-SVID sections 2 to 5).
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "agent/base/spiffe_id.h"
#include "agent/base/time.h"
#include "rotation/pki/trust_bundle.h"

namespace nodepilot {

struct ValidatedJwt {
  SpiffeId id;
  nlohmann::json claims;  // all of them, as they stand in the token
};

// The bundle of a trust domain; null if it is not trusted.
using JwtBundleLookup = std::function<const TrustBundle*(const TrustDomain&)>;

// For `audience`, at `now`, give or take `leeway`. Only the keys of the subject's own trust domain
// count; what the token's header says about keys besides `kid` does not. Everything that is wrong
// is kInvalidArgument, and the error says what, without any part of the signature or payload but
// the subject. Thread: any.
expected<ValidatedJwt> validate_jwt_svid(std::string_view token, const std::string& audience,
                                         const JwtBundleLookup& bundles, Time now, Duration leeway);

}  // namespace nodepilot
