// `ca.vault` in the configuration: a Vault or OpenBao server as the CA.
// Thread: any.
#pragma once

#include <chrono>
#include <utility>
#include <vector>

#include "agent/config/yaml_decoder.h"
#include "rotation/ca/vault/vault_options.h"

namespace nodepilot {

// Notes what is wrong. Sets `ttl`, the life of certificates, if it is given.
VaultOptions decode_vault(const YamlValue& value, std::chrono::seconds& ttl);

// The files that prove us to Vault, each with the key that names it.
std::vector<std::pair<const char*, std::filesystem::path>> vault_secrets(const VaultOptions& vault);

}  // namespace nodepilot
