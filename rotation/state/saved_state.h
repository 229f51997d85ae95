// What an earlier life of the agent left on the disk.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "rotation/entry_set.h"
#include "rotation/state/sealed_file.h"
#include "rotation/state/state_files.h"
#include "rotation/state/stored_svid.h"

namespace nodepilot {

struct SavedSvid {
  EntryPtr entry;
  StoredSvid stored;  // not verified yet
};

struct SavedState {
  std::optional<TrustBundle> bundle;
  std::vector<SavedSvid> svids;
  std::set<std::string> obsolete;  // files that are of no use any more
  // Files that are neither used nor written over, and why: of a newer version, or not ours alone.
  std::map<std::string, Error> refused;
};

// Reads all files; each that is damaged is set aside and logged, so that one never costs another.
// kFailedPrecondition if they are sealed under another key than `key`: nothing is touched then.
// Thread: any; blocks on the disk.
expected<SavedState> read_saved_state(StateFiles& files, const SealingKey& key,
                                      const EntrySet& entries, const TrustDomain& trust_domain);

}  // namespace nodepilot
