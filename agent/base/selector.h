// Selectors: facts about a caller ("unix:uid:1000"), spelled as SPIRE spells them.
// Thread: any (immutable values).
#pragma once

#include <compare>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"

namespace nodepilot {

struct Selector {
  std::string type;   // "unix"
  std::string value;  // "uid:1000"

  // Splits at the first colon; both halves must be non-empty, printable and free of newlines.
  static expected<Selector> parse(std::string_view text);
  std::string str() const { return type + ":" + value; }

  friend auto operator<=>(const Selector&, const Selector&) = default;
};

using Selectors = std::set<Selector>;

// Selectors of one key, whatever their value: "k8s:ns", "k8s:pod-label:app".
struct SelectorKey {
  std::string type;  // "k8s"
  std::string key;   // "ns", "pod-label:app"

  // Splits at the first colon; both halves must be non-empty, printable and free of newlines.
  static expected<SelectorKey> parse(std::string_view text);
  std::string str() const { return type + ":" + key; }

  friend auto operator<=>(const SelectorKey&, const SelectorKey&) = default;
};

using SelectorKeys = std::set<SelectorKey>;

// The values that `found` has for `key`, in order: of "k8s:ns:shop" that is "shop". They point into
// `found`.
std::vector<std::string_view> values_of(const Selectors& found, const SelectorKey& key);

}  // namespace nodepilot
