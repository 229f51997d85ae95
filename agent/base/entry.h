// One rule: which identity a caller gets if all of its selectors hold.
// Thread: any (immutable once in an EntrySet).
#pragma once

#include <chrono>
#include <compare>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "agent/base/selector.h"
#include "agent/base/spiffe_id.h"

namespace nodepilot {

// Which SPIFFE IDs a peer may have.
struct PeerRule {
  enum class Kind { kExact, kPrefix, kSuffix };

  Kind kind = Kind::kExact;
  std::string text;

  friend auto operator<=>(const PeerRule&, const PeerRule&) = default;
};
using PeerRules = std::set<PeerRule>;

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
  // Directories out of which SDS hands the caller certificates, keys and roots by file name.
  std::vector<std::filesystem::path> files{};
  // The peers that SDS tells the caller to accept: any of these; if empty, all of a trust domain.
  PeerRules peers{};
  // Issued at start and kept fresh, whether anybody asks for it or not.
  bool prefetch = false;
};

}  // namespace nodepilot
