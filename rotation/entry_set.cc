#include "rotation/entry_set.h"

#include <set>

namespace nodepilot {

EntrySet::EntrySet(std::vector<Entry> entries) {
  for (Entry& entry : entries) {
    entries_.push_back(std::make_shared<const Entry>(std::move(entry)));
    by_id_.emplace(entries_.back()->id, entries_.back());
  }
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
  auto it = by_id_.find(entry_id);
  return it == by_id_.end() ? nullptr : it->second;
}

}  // namespace nodepilot
