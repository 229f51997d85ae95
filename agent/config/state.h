// `state` in the configuration: where the SVIDs, keys and trust bundles that are served are kept.
// Thread: any.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "agent/config/yaml_decoder.h"

namespace nodepilot {

// In the state directory, sealed under a key that comes from a file or from systemd.
struct SealedConfig {
  std::optional<std::filesystem::path> key_file{};
  std::string key_credential = "nodepilot-state-key";  // without a file
};

// Empty: in memory only.
using StateConfig = std::optional<SealedConfig>;

// `memory`, `sealed`, or a mapping with one of these.
void decode_state(const YamlValue& value, StateConfig& state);

}  // namespace nodepilot
