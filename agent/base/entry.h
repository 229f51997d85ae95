// One rule: which identity a caller gets if all of its selectors hold.
// Thread: any (immutable once in an EntrySet).
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "agent/base/selector.h"
#include "agent/base/spiffe_id.h"

namespace nodepilot {

inline constexpr std::chrono::seconds kDefaultJwtTtl{300};

struct Entry {
  std::string id;  // unique and stable: what schedule, store and streams key by
  SpiffeId spiffe_id;
  Selectors match;
  std::chrono::seconds ttl{3600};                 // of X.509-SVIDs
  std::chrono::seconds jwt_ttl = kDefaultJwtTtl;  // of JWT-SVIDs
  std::vector<std::string> dns_names;
  std::string hint;  // at most 1024 bytes (Workload API section 8); may be empty
  // Foreign trust domains whose bundles the caller gets beside our own.
  std::vector<TrustDomain> federates_with{};
};

}  // namespace nodepilot
