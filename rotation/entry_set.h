// The rules, in the order of the configuration.
#pragma once

#include <memory>
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
  EntryPtr find(const std::string& entry_id) const;

 private:
  std::vector<EntryPtr> entries_;
};

}  // namespace nodepilot
