// The rounds: each is an attack, or an honest call as a control, with what may come of it.
// Thread: one.
#pragma once

#include <array>
#include <optional>
#include <set>
#include <string>

#include "test/adversary/stage.h"

namespace nodepilot {

// What may be granted: the identities of whoever sends the last bytes.
struct Entitled {
  std::set<std::string> identities;
  bool certain = false;  // an honest call: all of them must be granted, or the call be refused
};

struct Kind {
  const char* name;
  int share;  // of all rounds, in percent
  // Plays it up to the last bytes. Empty if it could not be staged.
  std::optional<Entitled> (*play)(Stage& stage);
};

extern const std::array<Kind, 8> kKinds;

}  // namespace nodepilot
