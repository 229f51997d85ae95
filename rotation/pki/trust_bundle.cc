#include "rotation/pki/trust_bundle.h"

#include <algorithm>

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

}  // namespace

expected<TrustBundle> TrustBundle::create(TrustDomain trust_domain,
                                          std::vector<Certificate> roots) {
  std::string what = "trust bundle of " + trust_domain.name();
  if (roots.empty()) return fail(Code::kInvalidArgument, what + ": no root certificate");
  std::vector<Certificate> distinct;
  for (Certificate& root : roots) {
    if (auto checked = check_root(root); !checked) return fail_with(what, checked.error());
    if (std::find(distinct.begin(), distinct.end(), root) != distinct.end()) continue;
    distinct.push_back(std::move(root));
  }
  return TrustBundle(std::move(trust_domain), std::move(distinct));
}

}  // namespace nodepilot
