// What `nodepilot bundle` prints. Thread: any.
#pragma once

#include <string>
#include <vector>

#include "agent/base/time.h"
#include "rotation/pki/trust_bundle.h"

namespace nodepilot {

// A line for each root and each JWT key.
std::string bundle_table(const std::vector<TrustBundle>& bundles, Time now);

// The roots of all of them.
std::string bundle_pem(const std::vector<TrustBundle>& bundles);

// A line for each key that only one of them has: "- " if `before` has it, "+ " if `after` has.
// Empty if they hold the same, in whatever order.
std::string bundle_diff(const TrustBundle& before, const TrustBundle& after);

}  // namespace nodepilot
