// An X.509-SVID with its key, and the checks it must pass before anybody sees it.
#pragma once

#include <vector>

#include "rotation/pki/certificate.h"
#include "rotation/pki/private_key.h"
#include "rotation/pki/trust_bundle.h"

namespace nodepilot {

// Immutable; shared as shared_ptr<const X509Svid>. Thread: any.
class X509Svid {
 public:
  // What a CA's answer is held against.
  struct Expectation {
    SpiffeId id;
    std::vector<std::string> dns_names;  // the DNS SANs asked for; any other is refused
    Time now;
    Duration max_clock_skew = std::chrono::minutes(1);
  };

  // The only way to get one: the chain (leaf first) is checked against our key, exactly the ID
  // asked for, the X509-SVID profile (sections 3 to 5), validity, and the roots of `bundle`.
  // The error names the check that failed. A chain in another order is accepted if it holds a valid
  // path; what is kept is that path, leaf first, without roots and duplicates.
  static expected<X509Svid> verified(PrivateKey key, const std::vector<Certificate>& chain,
                                     const TrustBundle& bundle, const Expectation& expectation);

  const SpiffeId& id() const { return id_; }
  const PrivateKey& key() const { return key_; }
  const std::vector<Certificate>& chain() const { return chain_; }  // leaf first, no root
  const Certificate& leaf() const { return chain_.front(); }
  // Of the bundle it was verified against, the root that its chain ends in.
  const Certificate& root() const { return root_; }
  const Validity& validity() const { return leaf().validity(); }

 private:
  X509Svid(SpiffeId id, PrivateKey key, std::vector<Certificate> chain, Certificate root)
      : id_(std::move(id)),
        key_(std::move(key)),
        chain_(std::move(chain)),
        root_(std::move(root)) {}
  SpiffeId id_;
  PrivateKey key_;
  std::vector<Certificate> chain_;
  Certificate root_;
};

// Whether `chain` (leaf first) is a valid X509-SVID of `bundle`'s trust domain at `now`: the rules
// for validators only (X509-SVID section 5), for the CLI's `fetch`. Yields the ID.
expected<SpiffeId> verify_peer_chain(const std::vector<Certificate>& chain,
                                     const TrustBundle& bundle, Time now);

// The same for one that a TLS server showed: its leaf must be fit for servers, too.
expected<SpiffeId> verify_server_chain(const std::vector<Certificate>& chain,
                                       const TrustBundle& bundle, Time now);

}  // namespace nodepilot
