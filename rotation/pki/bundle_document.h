// SPIFFE bundles and bundle maps as JSON (SPIFFE Trust Domain and Bundle, sections 4 and 5).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rotation/pki/trust_bundle.h"

namespace nodepilot {

inline constexpr std::size_t kMaxBundleDocumentBytes = std::size_t{1024} * 1024;
inline constexpr std::size_t kMaxBundleMapBytes = std::size_t{8} * 1024 * 1024;
inline constexpr std::size_t kMaxBundleMapDomains = 1000;
inline constexpr std::size_t kMaxBundleKeys = 1000;

// A value. Thread: any.
struct BundleDocument {
  TrustBundle bundle;
  std::optional<std::uint64_t> sequence{};
  // As written, but for values beyond a year, which become a year; the reader sets its own bounds.
  std::optional<std::chrono::seconds> refresh_hint{};
  // Why single keys were left out, for the log; not written. A key of another or no use is left
  // out too, as newer kinds of keys will be.
  std::vector<std::string> skipped{};
};

// A JWK Set. A JWK that is of no use to us is skipped, by itself; all else that is wrong refuses
// the document (kInvalidArgument). No usable key is no error: it is a revocation.
expected<BundleDocument> parse_bundle_document(const TrustDomain& trust_domain,
                                               std::string_view json);
std::string write_bundle_document(const BundleDocument& document);

// By trust domain. One bad bundle or name refuses the map. Refresh hints of single bundles are
// neither read nor written (section 5.1.1).
using BundleMap = std::map<TrustDomain, BundleDocument>;
expected<BundleMap> parse_bundle_map(std::string_view json);
std::string write_bundle_map(const BundleMap& map);

// The JWK Set of the JWT keys alone: what the Workload API's JWTBundlesResponse carries.
std::string jwt_bundle_json(const TrustBundle& bundle);

}  // namespace nodepilot
