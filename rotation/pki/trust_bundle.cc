#include "rotation/pki/trust_bundle.h"

#include <algorithm>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

expected<void> check_root(const Certificate& root) {
  if (!root.can_sign()) {
    return fail(Code::kInvalidArgument,
                "root \"" + root.subject() +
                    "\": not a CA certificate; basicConstraints CA:TRUE and keyUsage keyCertSign "
                    "are needed");
  }
  for (const std::string& uri : root.uri_sans()) {
    auto id = SpiffeId::parse(uri);
    if (id && id->has_path()) {
      return fail(Code::kInvalidArgument, "root \"" + root.subject() + "\": carries " + uri +
                                              "; a CA's SPIFFE ID must not have a path");
    }
  }
  return {};
}

const JwtAuthority* find_key(const std::vector<JwtAuthority>& authorities,
                             const std::string& key_id) {
  auto found = std::find_if(authorities.begin(), authorities.end(),
                            [&](const JwtAuthority& known) { return known.key_id() == key_id; });
  return found == authorities.end() ? nullptr : &*found;
}

void add_distinct(std::vector<Certificate>& roots, const Certificate& root) {
  if (std::find(roots.begin(), roots.end(), root) == roots.end()) roots.push_back(root);
}

}  // namespace

expected<TrustBundle> TrustBundle::create(TrustDomain trust_domain,
                                          const std::vector<Certificate>& roots,
                                          const std::vector<JwtAuthority>& jwt_authorities) {
  std::string what = "trust bundle of " + trust_domain.name();
  if (roots.empty()) return fail(Code::kInvalidArgument, what + ": no root certificate");
  std::vector<Certificate> distinct_roots;
  for (const Certificate& root : roots) {
    if (auto checked = check_root(root); !checked) return fail_with(what, checked.error());
    add_distinct(distinct_roots, root);
  }
  std::vector<JwtAuthority> distinct_keys;
  for (const JwtAuthority& authority : jwt_authorities) {
    const JwtAuthority* known = find_key(distinct_keys, authority.key_id());
    if (known == nullptr) {
      distinct_keys.push_back(authority);
    } else if (*known != authority) {
      return fail(Code::kInvalidArgument,
                  what + ": two JWT keys have the key ID " + quote(authority.key_id()));
    }
  }
  return TrustBundle(std::move(trust_domain), std::move(distinct_roots), std::move(distinct_keys));
}

TrustBundle TrustBundle::foreign(TrustDomain trust_domain, const std::vector<Certificate>& roots,
                                 const std::vector<JwtAuthority>& jwt_authorities) {
  std::vector<Certificate> distinct_roots;
  for (const Certificate& root : roots) {
    if (root.can_sign()) add_distinct(distinct_roots, root);
  }
  std::vector<JwtAuthority> distinct_keys;
  for (const JwtAuthority& authority : jwt_authorities) {
    if (find_key(distinct_keys, authority.key_id()) == nullptr) distinct_keys.push_back(authority);
  }
  return {std::move(trust_domain), std::move(distinct_roots), std::move(distinct_keys)};
}

}  // namespace nodepilot
