// Everything that one caller may see at one moment.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "rotation/entry_set.h"
#include "rotation/pki/trust_bundle.h"
#include "rotation/pki/x509_svid.h"

namespace nodepilot {

using SvidPtr = std::shared_ptr<const X509Svid>;
using BundlePtr = std::shared_ptr<const TrustBundle>;

struct HeldSvid {
  EntryPtr entry;
  SvidPtr svid;
};

// Immutable; a newer one replaces it. Thread: any.
struct WorkloadUpdate {
  // Whether any entry matches the caller. If not, the rest is empty.
  bool entitled = false;
  // The entries that match, in their order: what the caller may have, issued or not.
  std::vector<EntryPtr> entries;
  // In entry order, so that the default identity is stable. Only SVIDs that are valid now.
  std::vector<HeldSvid> svids;
  // Nothing is to be waited for: what is missing has failed before. But a caller who has nothing
  // at all waits for the next try if that is under way.
  bool settled = false;
  // Why an entitled SVID is missing; set only when settled.
  std::optional<Error> missing;
  BundlePtr bundle;  // of our own trust domain; null until the CA has told it
  // Of the trust domains that the caller's entries federate with, as far as they are known.
  std::map<TrustDomain, BundlePtr> federated;
};

using UpdatePtr = std::shared_ptr<const WorkloadUpdate>;

}  // namespace nodepilot
