// `federation` in the configuration: the foreign trust domains whose bundles are fetched.
// Thread: any.
#pragma once

#include <optional>
#include <vector>

#include "agent/yaml_decoder.h"
#include "rotation/federation/federation.h"

namespace nodepilot {

// The list under `federation`. What is wrong is noted there. `own` is our trust domain, if known.
std::vector<Federation> decode_federations(const YamlValue& list,
                                           const std::optional<TrustDomain>& own);

}  // namespace nodepilot
