#include "rotation/issue.h"

#include <algorithm>
#include <utility>

namespace nodepilot {

expected<IssuedSvid> issue(CertificateAuthority& ca, const Entry& entry, const TrustBundle& bundle,
                           const Clock& clock, const LifeLimits& life) {
  PrivateKey key = TRY(PrivateKey::generate());
  Csr csr = TRY(Csr::create(key, entry.spiffe_id));
  std::vector<Certificate> chain = TRY(ca.sign(csr, entry));
  X509Svid::Expectation expectation{entry.spiffe_id, entry.dns_names, clock.now()};
  expectation.life = {std::min<Duration>(life.shortest, entry.ttl / 2),
                      std::max<Duration>(life.longest, entry.ttl)};
  expected<X509Svid> svid = X509Svid::verified(key, chain, bundle, expectation);
  if (svid) return IssuedSvid{*std::move(svid), std::nullopt};

  expected<TrustBundle> newer = ca.bundle();
  if (!newer || newer->same_roots(bundle)) return tl::unexpected<Error>(svid.error());
  X509Svid known = TRY(X509Svid::verified(key, chain, *newer, expectation));
  return IssuedSvid{std::move(known), *std::move(newer)};
}

}  // namespace nodepilot
