// The rules, in the order of the configuration.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/entry.h"

namespace nodepilot {

using EntryPtr = std::shared_ptr<const Entry>;

// What one rule says to one caller.
struct RuleVerdict {
  EntryPtr rule;
  std::optional<SpiffeId> granted;
  std::string miss;  // if not granted: the first thing that is wanted and not found
};

// Immutable. Thread: any.
class EntrySet {
 public:
  explicit EntrySet(std::vector<Entry> rules);

  // The identities of who has `selectors`, in the order of their rules; of several with one
  // SPIFFE ID only the first. Those that a template gives are made anew by each call.
  std::vector<EntryPtr> match(const Selectors& selectors) const;

  // The same with reasons: one verdict for each rule.
  std::vector<RuleVerdict> explain(const Selectors& selectors) const;

  // All of them, templates too.
  const std::vector<EntryPtr>& rules() const { return rules_; }
  // The rules that give one fixed identity.
  const std::vector<EntryPtr>& fixed() const { return fixed_; }
  // Of fixed(); null if there is none.
  EntryPtr find(const std::string& entry_id) const;
  // Every identity that some template could give under `spiffe_id`.
  std::vector<EntryPtr> made_from_templates(const SpiffeId& spiffe_id) const;

 private:
  std::vector<EntryPtr> rules_;
  std::vector<EntryPtr> fixed_;
  std::map<std::string, EntryPtr> by_id_;  // of fixed_
};

}  // namespace nodepilot
