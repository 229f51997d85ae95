#include "rotation/bundle_keeper.h"

#include <algorithm>
#include <utility>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

// The one plan in the schedule.
const char kBundle[] = "bundle";

// Nearly the whole of the refresh time, give or take a tenth.
RotationPolicy refresh_policy(RotationPolicy policy) {
  policy.at = 0.9;
  policy.jitter = 0.1;
  return policy;
}

Time end_of(const TrustBundle& bundle) {
  Time end = Time::min();
  for (const Certificate& root : bundle.roots()) end = std::max(end, root.validity().not_after);
  return end;
}

bool contains(const TrustBundle& bundle, const Certificate& root) {
  return std::find(bundle.roots().begin(), bundle.roots().end(), root) != bundle.roots().end();
}

}  // namespace

BundleKeeper::BundleKeeper(Clock& clock, Workers& workers, CertificateAuthority& ca,
                           IdentityStore& store, RotationPolicy policy, Duration refresh,
                           Jitter jitter,
                           std::function<void(const std::vector<std::string>&)> on_orphans)
    : clock_(clock),
      workers_(workers),
      ca_(ca),
      store_(store),
      refresh_(refresh),
      on_orphans_(std::move(on_orphans)),
      schedule_(refresh_policy(policy), std::move(jitter)),
      alarm_(clock, [this] { fetch(); }),
      self_(std::make_shared<BundleKeeper*>(this)) {}

void BundleKeeper::fetch() {
  if (std::exchange(is_fetching_, true)) return;
  using Done = std::pair<expected<TrustBundle>, CaAnswers>;
  workers_.run(
      [&ca = ca_] {
        MeasuredCa measured(ca);
        auto result = measured.bundle();
        return Done(std::move(result), measured.answers());
      },
      [weak = std::weak_ptr<BundleKeeper*>(self_)](Done done) {
        auto self = weak.lock();
        if (!self) return;
        add((*self)->ca_answers_, done.second);
        (*self)->finish(std::move(done.first));
      });
}

void BundleKeeper::finish(expected<TrustBundle> result) {
  is_fetching_ = false;
  Time now = clock_.now();
  if (result) {
    last_success_ = now;
    last_error_.reset();
    schedule_.renewed(kBundle, now, Validity{now, now + refresh_});
    alarm_.set(*schedule_.next());
    adopt(*std::move(result));
    return;
  }
  BundlePtr held = store_.bundle();
  last_error_ = std::move(result).error();
  schedule_.failed(kBundle, now, held ? std::optional(end_of(*held)) : std::nullopt,
                   last_error_->retry_after);
  alarm_.set(*schedule_.next());
  log::warn("trust bundle not fetched", {{"error", last_error_->message},
                                         {"failures", schedule_.failures(kBundle)},
                                         {"retry_in", to_text(*schedule_.next() - now)}});
}

void BundleKeeper::adopt(TrustBundle bundle) {
  std::vector<std::string> orphans = orphans_of(bundle);
  if (!orphans.empty()) {
    std::vector<Certificate> roots = bundle.roots();
    for (const std::string& entry_id : orphans) roots.push_back(store_.svid(entry_id)->root());
    if (auto both = TrustBundle::create(bundle.trust_domain(), roots, bundle.jwt_authorities())) {
      bundle = *std::move(both);
    }
  }
  if (!store_.bundle() || *store_.bundle() != bundle) {
    log::info("trust bundle changed", {{"roots", bundle.roots().size()},
                                       {"jwt_keys", bundle.jwt_authorities().size()},
                                       {"svids_of_withdrawn_roots", orphans.size()}});
    store_.set_bundle(std::make_shared<const TrustBundle>(std::move(bundle)));
  }
  if (!orphans.empty() && on_orphans_) on_orphans_(orphans);
}

std::vector<std::string> BundleKeeper::orphans_of(const TrustBundle& bundle) const {
  std::vector<std::string> orphans;
  for (const EntryPtr& entry : store_.identities()) {
    SvidPtr svid = store_.svid(entry->id);
    if (!svid || !store_.is_supplied(entry->id) || contains(bundle, svid->root())) continue;
    if (!verify_peer_chain(svid->chain(), bundle, clock_.now())) orphans.push_back(entry->id);
  }
  return orphans;
}

}  // namespace nodepilot
