#include "test/rotation/fake_ca.h"

#include "rotation/pki/issuer.h"

namespace nodepilot {

FakeCa::FakeCa(const Clock& clock) : clock_(clock) { change_root(); }

void FakeCa::change_root() {
  const Duration year = std::chrono::hours(24) * 365;
  PrivateKey key = PrivateKey::generate().value();
  Validity validity{clock_.now() - year, clock_.now() + 10 * year};
  roots_.push_back(make_root(key, TrustDomain::parse("td").value(), validity).value());
  keys_.push_back(std::move(key));
}

expected<std::vector<Certificate>> FakeCa::sign(const Csr& csr, const Entry& entry) {
  ++signs_;
  ++signs_for_[entry.spiffe_id.str()];
  if (failure_) return fail(*failure_, "fake CA: told to fail");
  if (refused_.contains(entry.spiffe_id.str())) {
    return fail(Code::kPermissionDenied, "fake CA: told to refuse " + entry.spiffe_id.str());
  }
  Entry signed_entry = entry;
  if (wrong_id_) signed_entry.spiffe_id = SpiffeId::parse(*wrong_id_).value();
  Time start = clock_.now() + start_offset_;
  Validity validity{start, clock_.now() + life_.value_or(entry.ttl)};
  std::vector chain{TRY(make_leaf(keys_.back(), roots_.back(), csr, signed_entry, validity))};
  ++issued_;
  return chain;
}

expected<TrustBundle> FakeCa::bundle() {
  ++bundle_calls_;
  if (failure_) return fail(*failure_, "fake CA: told to fail");
  return TrustBundle::create(TrustDomain::parse("td").value(),
                             told_.value_or(std::vector{roots_.back()}), jwt_keys_);
}

std::size_t FakeCa::signs_for(const std::string& spiffe_id) const {
  auto it = signs_for_.find(spiffe_id);
  return it == signs_for_.end() ? 0 : it->second;
}

}  // namespace nodepilot
