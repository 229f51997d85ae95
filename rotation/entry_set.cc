#include "rotation/entry_set.h"

#include <algorithm>
#include <set>

namespace nodepilot {

EntrySet::EntrySet(std::vector<Entry> entries) {
  for (Entry& entry : entries) entries_.push_back(std::make_shared<const Entry>(std::move(entry)));
}

std::vector<EntryPtr> EntrySet::match(const Selectors& selectors) const {
  std::vector<EntryPtr> found;
  std::set<SpiffeId> ids;
  for (const EntryPtr& entry : entries_) {
    if (!matches(entry->match, selectors)) continue;
    if (!ids.insert(entry->spiffe_id).second) continue;
    found.push_back(entry);
  }
  return found;
}

EntryPtr EntrySet::find(const std::string& entry_id) const {
  auto it = std::find_if(entries_.begin(), entries_.end(),
                         [&](const EntryPtr& entry) { return entry->id == entry_id; });
  return it == entries_.end() ? nullptr : *it;
}

}  // namespace nodepilot
