// The messages of the Workload API's X.509 profile, out of what one caller may see. Pure.
// Workload API sections 5.2.1 and 5.2.2.
#pragma once

#include "proto/spiffe/workload.pb.h"
#include "rotation/workload_update.h"

namespace nodepilot {

// Needs update.bundle. Of SVIDs with one hint only the first keeps it.
X509SVIDResponse svid_reply(const WorkloadUpdate& update);

// Needs update.bundle.
X509BundlesResponse bundles_reply(const WorkloadUpdate& update);

// Whether both updates give equal replies.
bool same_svid_reply(const WorkloadUpdate& a, const WorkloadUpdate& b);
bool same_bundles_reply(const WorkloadUpdate& a, const WorkloadUpdate& b);

}  // namespace nodepilot
