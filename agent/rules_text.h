// What `nodepilot rules test` prints.
// Thread: any.
#pragma once

#include <string>
#include <vector>

#include "rotation/entry_set.h"

namespace nodepilot {

// For people: a line for each rule, "rule /web  MISS  wants unix:uid:1000, found unix:uid:33".
std::string verdicts_text(const std::vector<RuleVerdict>& verdicts);
// For programs: "version": 1, stable keys.
std::string verdicts_json(const std::vector<RuleVerdict>& verdicts);

}  // namespace nodepilot
