#include "agent/config/vault.h"

#include <algorithm>
#include <array>

#include "agent/base/log.h"
#include "agent/config/entry.h"
#include "agent/config/text.h"

namespace nodepilot {
namespace {

constexpr std::size_t kMaxAddresses = 8;
constexpr std::size_t kMaxNameBytes = 256;
constexpr std::array kAuthKinds = {"token_file", "approle", "kubernetes", "cert"};
constexpr const char* kAuthChoice = "exactly one of token_file, approle, kubernetes and cert";

bool is_name_char(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         c == '-' || c == '.';
}

// What stands in a request's path as it is.
bool is_name(std::string_view text) {
  return !text.empty() && text != "." && text != ".." && text.size() <= kMaxNameBytes &&
         std::all_of(text.begin(), text.end(), is_name_char);
}

expected<std::string> parse_name(std::string_view text) {
  if (is_name(text)) return std::string(text);
  return fail(Code::kInvalidArgument,
              "must be a name of letters, digits, \".\", \"-\" and \"_\", got " +
                  quote(text.substr(0, 80)));
}

// "pki", "team/pki"
expected<std::string> parse_mount(std::string_view text) {
  std::string_view rest = text;
  bool is_mount = text.size() <= kMaxNameBytes;
  while (is_mount) {
    auto slash = rest.find('/');
    is_mount = is_name(rest.substr(0, slash));
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  if (is_mount) return std::string(text);
  return fail(Code::kInvalidArgument,
              "must be names with \"/\" between them, such as pki or team/pki, got " +
                  quote(text.substr(0, 80)));
}

expected<Url> parse_address(std::string_view text) {
  auto url = TRY(Url::parse(text));
  // A slash at the end is as good as none.
  if (url.target() == "/") return url;
  return fail(Code::kInvalidArgument,
              "must end after the host or port, as in https://vault.example.org:8200, got " +
                  quote(text.substr(0, 200)));
}

expected<Duration> parse_timeout(std::string_view text) {
  return parse_duration(text, std::chrono::seconds(1), std::chrono::minutes(1));
}

void decode_addresses(YamlMapping& section, std::vector<Url>& addresses) {
  auto one = section.find("address");
  auto several = section.find("addresses");
  auto add = [&](const YamlValue& value) {
    std::optional<Url> url;
    value.read(url, parse_address);
    if (url) addresses.push_back(*std::move(url));
  };
  if (one && several) one->refuse("must not be given beside addresses");
  if (!one && !several) section.require("address");
  if (one) add(*one);
  if (!several) return;
  auto items = several->items();
  bool is_list = several->node().kind == YamlNode::Kind::kList;
  if (is_list && (items.empty() || items.size() > kMaxAddresses)) {
    several->refuse("must hold between 1 and " + std::to_string(kMaxAddresses) +
                    " addresses, got " + std::to_string(items.size()));
  }
  for (const YamlValue& item : items) add(item);
}

template <class T, class Parse>
void require(YamlMapping& section, std::string_view key, T& target, Parse parse) {
  if (auto value = section.require(key)) value->read(target, parse);
}

VaultAuth decode_token_file(const YamlValue& value) {
  VaultTokenFile source;
  value.read(source.file, parse_path);
  return source;
}

VaultAuth decode_approle(const YamlValue& value) {
  YamlMapping section(value);
  VaultAppRole role;
  section.read("mount", role.mount, parse_mount);
  require(section, "role_id", role.role_id, parse_name);
  require(section, "secret_id_file", role.secret_id_file, parse_path);
  return role;
}

VaultAuth decode_kubernetes(const YamlValue& value) {
  YamlMapping section(value);
  VaultKubernetes account;
  section.read("mount", account.mount, parse_mount);
  require(section, "role", account.role, parse_name);
  section.read("jwt_file", account.jwt_file, parse_path);
  return account;
}

VaultAuth decode_certificate(const YamlValue& value) {
  YamlMapping section(value);
  VaultCertificate certificate;
  section.read("mount", certificate.mount, parse_mount);
  section.read("role", certificate.role, parse_name);
  require(section, "certificate_file", certificate.certificate_file, parse_path);
  require(section, "key_file", certificate.key_file, parse_path);
  return certificate;
}

void decode_auth(const YamlValue& value, VaultAuth& auth) {
  constexpr std::array kDecoders = {decode_token_file, decode_approle, decode_kubernetes,
                                    decode_certificate};
  YamlMapping section(value);
  std::size_t given = 0;
  for (std::size_t i = 0; i < kAuthKinds.size(); ++i) {
    auto kind = section.find(kAuthKinds.at(i));
    if (!kind) continue;
    if (given++ > 0) kind->refuse(std::string("must not be given beside another: ") + kAuthChoice);
    auth = kDecoders.at(i)(*kind);
  }
  bool is_mapping =
      value.node().kind == YamlNode::Kind::kMapping || value.node().kind == YamlNode::Kind::kNull;
  if (given == 0 && is_mapping) value.refuse(std::string("must hold ") + kAuthChoice);
}

}  // namespace

VaultOptions decode_vault(const YamlValue& value, std::chrono::seconds& ttl) {
  YamlMapping section(value);
  VaultOptions vault;
  decode_addresses(section, vault.addresses);
  section.read("mount", vault.mount, parse_mount);
  require(section, "role", vault.role, parse_name);
  section.read("ttl", ttl, parse_ttl);
  section.read("ca_file", vault.ca_file, parse_path);
  section.read("trust_bundle_file", vault.trust_bundle_file, parse_path);
  section.read("namespace", vault.name_space, parse_mount);
  section.read("timeout", vault.timeout, parse_timeout);
  if (auto auth = section.require("auth")) decode_auth(*auth, vault.auth);
  return vault;
}

std::vector<std::pair<const char*, std::filesystem::path>> vault_secrets(
    const VaultOptions& vault) {
  if (const auto* source = std::get_if<VaultTokenFile>(&vault.auth)) {
    return {{"ca.vault.auth.token_file", source->file}};
  }
  if (const auto* role = std::get_if<VaultAppRole>(&vault.auth)) {
    return {{"ca.vault.auth.approle.secret_id_file", role->secret_id_file}};
  }
  if (const auto* account = std::get_if<VaultKubernetes>(&vault.auth)) {
    return {{"ca.vault.auth.kubernetes.jwt_file", account->jwt_file}};
  }
  const auto& certificate = std::get<VaultCertificate>(vault.auth);
  return {{"ca.vault.auth.cert.key_file", certificate.key_file}};
}

}  // namespace nodepilot
