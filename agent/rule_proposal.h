// The rule that would give a refused process an identity.
// Thread: any.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/base/selector.h"

namespace nodepilot {

struct RuleProposal {
  std::string id;  // "/host/nginx"
  std::vector<Selector> match;
};

// By the most telling selectors: namespace and service account of a pod, else unit and uid, else
// uid and path. Empty if there are none of these.
std::optional<RuleProposal> propose_rule(const Selectors& found);

// An item of `identities` in the configuration, indented by `indent`; ends with a newline.
std::string rule_yaml(const std::string& id, const std::vector<std::string>& match,
                      std::size_t indent = 0);

}  // namespace nodepilot
