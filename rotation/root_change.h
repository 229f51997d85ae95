// Which SVIDs are to be issued anew because the CA has changed its root.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "rotation/identity_store.h"

namespace nodepilot {

// Thread: loop.
class RootChange {
 public:
  // `store` outlives it.
  explicit RootChange(const IdentityStore& store) : store_(store) {}

  // `fresh` has taken the place of `before`, which may be null. If it is the first leaf under a
  // root that no leaf had, the CA signs with another root now: yields the entries whose SVIDs are
  // under other ones.
  std::vector<std::string> left_behind(const SvidPtr& before, const X509Svid& fresh);

  // Of `entry_ids`, those that hold an SVID and are not on their way yet. From now on they are,
  // until done(): to draw the instant for one again and again would move all to the front.
  std::vector<std::string> set_out(const std::vector<std::string>& entry_ids);
  void done(const std::string& entry_id) { on_their_way_.erase(entry_id); }

 private:
  const IdentityStore& store_;
  std::vector<Certificate> signers_;  // roots that leaves have moved to, the latest last
  std::set<std::string> on_their_way_;
};

}  // namespace nodepilot
