// Verified SVIDs that may not be shown yet: their life has not begun by our clock, or some stream
// has not taken the roots they need.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "rotation/entry_set.h"
#include "rotation/issue.h"
#include "rotation/workload_update.h"

namespace nodepilot {

// Thread: loop.
class HeldBack {
 public:
  struct Item {
    EntryPtr entry;
    BundlePtr bundle;  // that it was verified against
    X509Svid svid;
  };

  // At most one of an entry.
  void hold(Item item);
  // Removes and returns those whose life has begun.
  std::vector<Item> take_begun(Time now);
  // Forgets all; yields the entries they were for.
  std::vector<std::string> clear();

  std::size_t size() const { return items_.size(); }
  bool empty() const { return items_.empty(); }
  // The next time after `now` at which a life begins.
  std::optional<Time> next(Time now) const;

 private:
  std::map<std::string, Item> items_;  // by entry id
};

}  // namespace nodepilot
