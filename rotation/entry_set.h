// The rules, in the order of the configuration.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/base/entry.h"

namespace nodepilot {

using EntryPtr = std::shared_ptr<const Entry>;

// Immutable. Thread: any.
class EntrySet {
 public:
  explicit EntrySet(std::vector<Entry> entries);

  // The entries whose selectors all hold, in order; of several with one SPIFFE ID only the first.
  std::vector<EntryPtr> match(const Selectors& selectors) const;

  const std::vector<EntryPtr>& all() const { return entries_; }
  // Null if there is none.
  EntryPtr find(const std::string& entry_id) const;

 private:
  std::vector<EntryPtr> entries_;
  std::map<std::string, EntryPtr> by_id_;
};

}  // namespace nodepilot
