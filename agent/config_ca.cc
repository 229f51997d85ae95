#include "agent/config_ca.h"

#include "agent/config_entry.h"
#include "agent/config_text.h"

namespace nodepilot {
namespace {

constexpr std::chrono::seconds kDefaultTtl{3600};

LocalCaConfig decode_local(YamlMapping local, std::chrono::seconds& ttl) {
  LocalCaConfig config;
  local.read("ttl", ttl, parse_ttl);
  auto certificate = local.find("certificate_file");
  auto key = local.find("key_file");
  if (certificate) certificate->read(config.certificate_file, parse_path);
  if (key) key->read(config.key_file, parse_path);
  if (certificate && !key) certificate->refuse("needs key_file beside it");
  if (key && !certificate) key->refuse("needs certificate_file beside it");
  return config;
}

}  // namespace

std::chrono::seconds decode_ca(YamlMapping section, CaConfig& ca) {
  std::chrono::seconds ttl = kDefaultTtl;
  auto vault = section.find("vault");
  if (vault && section.find("local"))
    vault->refuse("only one kind of CA may be given, not local too");
  if (vault) {
    ca = decode_vault(*vault, ttl);
  } else {
    ca = decode_local(section.mapping("local"), ttl);
  }
  return ttl;
}

std::vector<OwnFile> own_files(const CaConfig& ca) {
  std::vector<OwnFile> files;
  if (const auto* local = std::get_if<LocalCaConfig>(&ca); local && local->key_file) {
    files.push_back({"ca.local.key_file", *local->key_file});
  }
  if (const auto* vault = std::get_if<VaultOptions>(&ca)) {
    for (const auto& [key, path] : vault_secrets(*vault)) files.push_back({key, path});
  }
  return files;
}

}  // namespace nodepilot
