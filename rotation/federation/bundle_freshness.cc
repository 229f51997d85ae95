#include "rotation/federation/bundle_freshness.h"

namespace nodepilot {

Freshness compare(const BundleDocument& fetched, const BundleDocument& held) {
  bool both = fetched.sequence && held.sequence;
  if (both && *fetched.sequence < *held.sequence) return Freshness::kOlder;
  bool same_sequence = fetched.sequence == held.sequence;
  bool same_content = fetched.bundle == held.bundle;
  if (same_sequence && same_content) return Freshness::kUnchanged;
  return both && same_sequence ? Freshness::kSameSequence : Freshness::kNewer;
}

}  // namespace nodepilot
