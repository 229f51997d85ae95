// What the configuration says about Envoy's secrets: `sds`, and `files` and `peers` of an identity.
// Thread: any.
#pragma once

#include <filesystem>
#include <vector>

#include "agent/base/entry.h"
#include "agent/config/yaml_decoder.h"
#include "sds/secret_options.h"

namespace nodepilot {

void decode_sds(YamlMapping section, SecretOptions& options);

// Directories; what is wrong is noted there.
std::vector<std::filesystem::path> decode_files(const YamlValue& list);

// [{uri: {exact: ID}}, {uri: {prefix: "spiffe://td/ns/shop/"}}, {uri: {suffix: "/sa/web"}}]
PeerRules decode_peers(const YamlValue& list);

}  // namespace nodepilot
