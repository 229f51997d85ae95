// `federation` in the configuration, the foreign trust domains whose bundles are fetched, and
// `bundle_endpoint`, where our own is published.
// Thread: any.
#pragma once

#include <optional>
#include <vector>

#include "agent/config/publication.h"
#include "agent/config/yaml_decoder.h"
#include "rotation/federation/federation.h"

namespace nodepilot {

// The list under `federation`. What is wrong is noted there. `own` is our trust domain, if known.
std::vector<Federation> decode_federations(const YamlValue& list,
                                           const std::optional<TrustDomain>& own);

// The mapping under `bundle_endpoint`; empty if a mistake was noted.
std::optional<Publication> decode_bundle_endpoint(const YamlValue& value,
                                                  const std::optional<TrustDomain>& own);

}  // namespace nodepilot
