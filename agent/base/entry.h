// One rule: which identity a caller gets if all that it asks for holds.
// Thread: any (immutable once in an EntrySet).
#pragma once

#include <chrono>
#include <compare>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/base/id_template.h"
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
  std::string id;      // unique and stable: what schedule, store and streams key by
  SpiffeId spiffe_id;  // of a template: the trust domain's own, which is never issued
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
  // Of each of these the caller must have a selector, whatever its value.
  SelectorKeys match_any{};
  // Set: a rule that gives many identities, each caller that which its selectors spell.
  std::optional<IdTemplate> id_template{};

  // "spiffe://td/web", "spiffe://td/ns/{k8s:ns}": as the configuration has it.
  const std::string& name() const { return id_template ? id_template->str() : spiffe_id.str(); }
};

}  // namespace nodepilot
