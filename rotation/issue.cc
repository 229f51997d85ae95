#include "rotation/issue.h"

#include <utility>

namespace nodepilot {

expected<IssuedSvid> issue(CertificateAuthority& ca, const Entry& entry, const TrustBundle& bundle,
                           const Clock& clock) {
  PrivateKey key = TRY(PrivateKey::generate());
  Csr csr = TRY(Csr::create(key, entry.spiffe_id));
  std::vector<Certificate> chain = TRY(ca.sign(csr, entry));
  X509Svid::Expectation expectation{entry.spiffe_id, entry.dns_names, clock.now()};
  expected<X509Svid> svid = X509Svid::verified(key, chain, bundle, expectation);
  if (svid) return IssuedSvid{*std::move(svid), std::nullopt};

  expected<TrustBundle> newer = ca.bundle();
  if (!newer || newer->same_roots(bundle)) return tl::unexpected<Error>(svid.error());
  X509Svid known = TRY(X509Svid::verified(key, chain, *newer, expectation));
  return IssuedSvid{std::move(known), *std::move(newer)};
}

}  // namespace nodepilot
