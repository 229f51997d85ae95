#include "agent/config/ca.h"

#include "agent/config/entry.h"
#include "agent/config/istiod.h"
#include "agent/config/text.h"

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
  std::vector<std::string> given;
  for (const char* kind : {"local", "istiod", "vault"}) {
    if (!section.find(kind)) continue;
    if (!given.empty()) {
      section.refuse(kind, "only one kind of CA can sign, but " + given.front() +
                               " is given as well; leave one of them out");
    }
    given.emplace_back(kind);
  }
  if (auto istiod = section.find("istiod")) {
    ca = decode_istiod(YamlMapping(*istiod), ttl);
  } else if (auto vault = section.find("vault")) {
    ca = decode_vault(*vault, ttl);
  } else {
    ca = decode_local(section.mapping("local"), ttl);
  }
  return ttl;
}

std::vector<std::string> objections(const CaConfig& ca, const std::vector<Entry>& entries) {
  const auto* istiod = std::get_if<IstiodOptions>(&ca);
  return istiod ? istiod_objections(*istiod, entries) : std::vector<std::string>();
}

std::vector<OwnFile> own_files(const CaConfig& ca) {
  std::vector<OwnFile> files;
  if (const auto* local = std::get_if<LocalCaConfig>(&ca); local && local->key_file) {
    files.push_back({"ca.local.key_file", *local->key_file});
  }
  if (const auto* istiod = std::get_if<IstiodOptions>(&ca)) {
    bool is_own_token = istiod->ask_as != IstiodOptions::AskAs::kWorkload;
    if (is_own_token) files.push_back({"ca.istiod.token_file", istiod->token_file});
    if (istiod->key_file) files.push_back({"ca.istiod.key_file", *istiod->key_file});
  }
  if (const auto* vault = std::get_if<VaultOptions>(&ca)) {
    for (const auto& [key, path] : vault_secrets(*vault)) files.push_back({key, path});
  }
  return files;
}

}  // namespace nodepilot
