// Selectors: facts about a caller ("unix:uid:1000"), spelled as SPIRE spells them.
// Thread: any (immutable values).
#pragma once

#include <compare>
#include <set>
#include <string>
#include <string_view>

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

// Whether `found` has every selector that `wanted` names. Nothing matches an empty `wanted`:
// an entry without conditions would hand its identity to everybody.
bool matches(const Selectors& wanted, const Selectors& found);

}  // namespace nodepilot
