// The messages of the Workload API, out of what one caller may see. Pure.
// Workload API sections 5.2 and 6.2.
#pragma once

#include "proto/spiffe/workload.pb.h"
#include "rotation/jwt_signer.h"
#include "rotation/pki/jwt_validation.h"
#include "rotation/workload_update.h"

namespace nodepilot {

// Needs update.bundle. Of SVIDs with one hint only the first keeps it.
X509SVIDResponse svid_reply(const WorkloadUpdate& update);

// Needs update.bundle.
X509BundlesResponse bundles_reply(const WorkloadUpdate& update);

// Needs update.bundle. Keys of another kind never appear, so that each kind of bundle
// authenticates its own kind of SVID.
JWTBundlesResponse jwt_bundles_reply(const WorkloadUpdate& update);

struct HeldJwt {
  EntryPtr entry;
  JwtSvid svid;
};
// Hints as in svid_reply().
JWTSVIDResponse jwt_svid_reply(const std::vector<HeldJwt>& held);

// All claims; `aud` always as a list.
expected<ValidateJWTSVIDResponse> validated_reply(const ValidatedJwt& validated);

// Whether both updates give equal replies.
bool same_svid_reply(const WorkloadUpdate& a, const WorkloadUpdate& b);
bool same_bundles_reply(const WorkloadUpdate& a, const WorkloadUpdate& b);
bool same_jwt_bundles_reply(const WorkloadUpdate& a, const WorkloadUpdate& b);

}  // namespace nodepilot
