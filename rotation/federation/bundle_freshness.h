// Which of two bundles of one trust domain is the newer (SPIFFE Federation 4.2).
#pragma once

#include "rotation/pki/bundle_document.h"

namespace nodepilot {

enum class Freshness {
  kOlder,  // its sequence is lower: to be ignored
  kUnchanged,
  kNewer,
  kSameSequence,  // other content under the same sequence: taken, but its publisher is at fault
};

// How `fetched` stands to `held`. Sequences decide; where one lacks a sequence, what was fetched
// last wins. Thread: any.
Freshness compare(const BundleDocument& fetched, const BundleDocument& held);

}  // namespace nodepilot
