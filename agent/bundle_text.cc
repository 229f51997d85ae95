#include "agent/bundle_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/base/sha256.h"
#include "agent/cli_text.h"

namespace nodepilot {
namespace {

std::string fingerprint(const Certificate& root) { return "sha256:" + sha256_hex(root.der()); }

std::string describe(const Certificate& root) {
  return "x509 root " + fingerprint(root) + "  " + printable(root.subject()) + "  until " +
         to_rfc3339(root.validity().not_after);
}

std::string describe(const JwtAuthority& key) {
  return "jwt key   " + printable(key.key_id()) + "  " + key.jwk().at("kty").get<std::string>();
}

// What `from` has and `other` lacks.
template <class Key>
std::string only_in(const std::vector<Key>& from, const std::vector<Key>& other,
                    const std::string& mark) {
  std::string text;
  for (const Key& key : from) {
    if (std::count(other.begin(), other.end(), key) == 0) text += mark + describe(key) + "\n";
  }
  return text;
}

}  // namespace

std::string bundle_table(const std::vector<TrustBundle>& bundles, Time now) {
  std::vector<std::vector<std::string>> rows{
      {"TRUST DOMAIN", "KIND", "KEY", "EXPIRES IN", "SUBJECT"}};
  for (const TrustBundle& bundle : bundles) {
    const std::string& name = bundle.trust_domain().name();
    for (const Certificate& root : bundle.roots()) {
      Duration left = root.validity().not_after - now;
      rows.push_back({name, "x509 root", short_serial(sha256_hex(root.der())),
                      left > Duration(0) ? to_text(left) : "expired", printable(root.subject())});
    }
    for (const JwtAuthority& key : bundle.jwt_authorities()) {
      rows.push_back(
          {name, "jwt key", printable(key.key_id()), "-", key.jwk().at("kty").get<std::string>()});
    }
    bool is_empty = bundle.roots().empty() && bundle.jwt_authorities().empty();
    if (is_empty) rows.push_back({name, "-", "-", "-", "empty: nobody there is trusted"});
  }
  return render_table(rows);
}

std::string bundle_pem(const std::vector<TrustBundle>& bundles) {
  std::string text;
  for (const TrustBundle& bundle : bundles) text += bundle.pem();
  return text;
}

std::string bundle_diff(const TrustBundle& before, const TrustBundle& after) {
  return only_in(before.roots(), after.roots(), "- ") +
         only_in(after.roots(), before.roots(), "+ ") +
         only_in(before.jwt_authorities(), after.jwt_authorities(), "- ") +
         only_in(after.jwt_authorities(), before.jwt_authorities(), "+ ");
}

}  // namespace nodepilot
