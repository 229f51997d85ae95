// What the micro-benchmarks of issuing and serving work on: an embedded CA, one identity, and what
// its caller sees.
#pragma once

#include <memory>

#include "rotation/ca/local_ca.h"
#include "rotation/rotator.h"
#include "test/support/temporary_directory.h"

namespace nodepilot {

class Stage {
 public:
  Stage() : ca_(LocalCa::open(ca_options(), [this] { return clock.now(); }).value()) {}

  CertificateAuthority& ca() { return *ca_; }
  JwtSigner& jwt_signer() { return *ca_; }
  const TrustBundle& bundle() const { return bundle_; }
  X509Svid issue_svid() { return issue(*ca_, *entry, bundle_, clock).value().svid; }
  UpdatePtr make_update() {
    auto update = std::make_shared<WorkloadUpdate>();
    update->entitled = true;
    update->settled = true;
    update->svids.push_back({entry, std::make_shared<const X509Svid>(issue_svid())});
    update->bundle = std::make_shared<const TrustBundle>(bundle_);
    return update;
  }

  const FakeClock clock;
  const EntryPtr entry = std::make_shared<const Entry>(make_entry());

 private:
  LocalCa::Options ca_options() const {
    return {.trust_domain = TrustDomain::parse("bench").value(),
            .state_dir = directory_.path(),
            .certificate_file = {},
            .key_file = {}};
  }
  static Entry make_entry() {
    return {.id = "web",
            .spiffe_id = SpiffeId::parse("spiffe://bench/ns/shop/sa/web").value(),
            .match = {{"unix", "uid:0"}},
            .dns_names = {},
            .hint = ""};
  }

  const TemporaryDirectory directory_;
  const std::unique_ptr<LocalCa> ca_;
  const TrustBundle bundle_ = ca_->bundle().value();
};

}  // namespace nodepilot
