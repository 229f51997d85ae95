// The section `ca` of the configuration: exactly one kind.
// Thread: any.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/base/entry.h"
#include "agent/config/vault.h"
#include "agent/config/yaml_decoder.h"
#include "rotation/ca/istiod/istiod_options.h"

namespace nodepilot {

// The embedded CA: a root made by us, or both files.
struct LocalCaConfig {
  std::optional<std::filesystem::path> certificate_file{};
  std::optional<std::filesystem::path> key_file{};
};

using CaConfig = std::variant<LocalCaConfig, IstiodOptions, VaultOptions>;

// Notes what is wrong; yields the life of certificates where an identity names none.
std::chrono::seconds decode_ca(YamlMapping section, CaConfig& ca);

// What about `entries` the CA could never sign.
std::vector<std::string> objections(const CaConfig& ca, const std::vector<Entry>& entries);

// A file that holds a secret of the agent's own, and the key that names it in the configuration.
struct OwnFile {
  const char* key;
  std::filesystem::path path;
};
std::vector<OwnFile> own_files(const CaConfig& ca);

}  // namespace nodepilot
