#include "rotation/rotator.h"

#include <algorithm>
#include <utility>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

// A clock before this has never been set: the machine has just booted without a battery.
constexpr Time kEarliestSaneTime{std::chrono::sys_days{std::chrono::year{2025} / 1 / 1}};

// Steps back up to this are lived with; a longer one makes plans obsolete.
constexpr Duration kStepBack = std::chrono::minutes(1);

}  // namespace

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

Rotator::Rotator(Clock& clock, Workers& workers, CertificateAuthority& ca, IdentityStore& store,
                 Options options, Jitter jitter)
    : clock_(clock),
      workers_(workers),
      ca_(ca),
      store_(store),
      options_(options),
      schedule_(options.policy, jitter),
      bundle_keeper_(clock, workers, ca, store, options.policy, options.bundle_refresh,
                     std::move(jitter)),
      alarm_(clock, [this] { wake(); }),
      clock_watch_(clock.on_step([this] { wake(); })),
      store_watch_(store.on_change([this] { start_queued(); })),
      latest_(clock.now()),
      self_(std::make_shared<Rotator*>(this)) {}

Rotator::~Rotator() = default;

void Rotator::start() {
  if (clock_.now() < kEarliestSaneTime) {
    log::warn("the clock is not set: nothing is issued until it is",
              {{"now", to_rfc3339(clock_.now())}});
  }
  bundle_keeper_.fetch();
  arm();
}

expected<void> Rotator::restore(const std::string& entry_id, SvidPtr svid, Time arrived) {
  Validity validity = svid->validity();
  TRY(store_.install(entry_id, std::move(svid)));
  schedule_.renewed(entry_id, arrived, validity);
  arm();
  return {};
}

void Rotator::wanted(const EntryPtr& entry) {
  heed_step_back();
  unwanted_since_.erase(entry->id);
  ensure(entry->id);
  start_queued();
  arm();
}

void Rotator::unwanted(const EntryPtr& entry) {
  unwanted_since_[entry->id] = clock_.now();
  if (!waiters_.contains(entry->id)) queue_.remove(entry->id);
  arm();
}

void Rotator::rotate(const std::string& entry_id, std::function<void(RotationOutcome)> done) {
  if (!store_.is_wanted(entry_id) && !store_.svid(entry_id)) {
    done({entry_id, nullptr, nullptr,
          Error{Code::kNotFound, "rotate " + entry_id + ": nobody uses it now"}});
    return;
  }
  waiters_[entry_id].push_back(std::move(done));
  enqueue(entry_id);
  start_queued();
  arm();
}

std::optional<Time> Rotator::next_renewal(const std::string& entry_id) const {
  return schedule_.planned(entry_id);
}

unsigned Rotator::failures(const std::string& entry_id) const {
  return schedule_.failures(entry_id);
}

void Rotator::ensure(const std::string& entry_id) {
  bool is_retrying = schedule_.failures(entry_id) > 0;
  bool is_planned = schedule_.planned(entry_id).has_value();
  if (is_planned && (is_retrying || store_.is_supplied(entry_id))) return;
  enqueue(entry_id);
}

void Rotator::enqueue(const std::string& entry_id) {
  if (in_flight_.contains(entry_id)) return;
  Urgency urgency = !store_.is_supplied(entry_id) ? Urgency::kMissing
                    : waiters_.contains(entry_id) ? Urgency::kForced
                                                  : Urgency::kRenewal;
  queue_.push(entry_id, urgency);
}

void Rotator::start_queued() {
  // Workers that run inline come back here from within start_issue(); the loop below goes on then.
  if (starting_ || !store_.bundle() || clock_.now() < kEarliestSaneTime) return;
  starting_ = true;
  while (in_flight_.size() - early_.size() < options_.max_in_flight) {
    std::optional<std::string> entry_id = queue_.pop();
    if (!entry_id) break;
    start_issue(store_.entries().find(*entry_id));
  }
  starting_ = false;
}

void Rotator::start_issue(const EntryPtr& entry) {
  BundlePtr bundle = store_.bundle();
  in_flight_.emplace(entry->id, clock_.now());
  workers_.run(
      [&ca = ca_, &clock = clock_, entry, bundle] { return issue(ca, *entry, *bundle, clock); },
      [weak = std::weak_ptr<Rotator*>(self_), entry, bundle](expected<IssuedSvid> result) {
        if (auto self = weak.lock()) (*self)->finish_issue(entry, bundle, std::move(result));
      });
}

void Rotator::finish_issue(const EntryPtr& entry, const BundlePtr& bundle,
                           expected<IssuedSvid> result) {
  if (result && result->svid.validity().not_before > clock_.now()) {
    early_.insert_or_assign(entry->id, Early{entry, bundle, *std::move(result)});
    start_queued();
    arm();
    return;
  }

  RotationOutcome outcome{entry->id, store_.svid(entry->id), nullptr, std::nullopt};
  expected<SvidPtr> published =
      result ? publish(entry, bundle, *std::move(result)) : tl::unexpected<Error>(result.error());
  if (published) {
    outcome.fresh = *published;
    plan_renewal(outcome);
  } else {
    outcome.error = published.error();
    plan_retry(entry, published.error());
  }

  in_flight_.erase(entry->id);
  auto node = waiters_.extract(entry->id);
  if (node) {
    for (const auto& done : node.mapped()) done(outcome);
  }
  start_queued();
  arm();
}

expected<SvidPtr> Rotator::publish(const EntryPtr& entry, const BundlePtr& bundle,
                                   IssuedSvid issued) {
  if (issued.newer_bundle) {
    bundle_keeper_.adopt(*std::move(issued.newer_bundle));
  } else if (store_.bundle() != bundle) {
    // The roots changed while it was issued.
    TRY(verify_peer_chain(issued.svid.chain(), *store_.bundle(), clock_.now()));
  }
  auto svid = std::make_shared<const X509Svid>(std::move(issued.svid));
  TRY(store_.install(entry->id, svid));
  return svid;
}

void Rotator::plan_renewal(const RotationOutcome& outcome) {
  const SvidPtr& fresh = outcome.fresh;
  Time now = clock_.now();
  schedule_.renewed(outcome.entry_id, now, fresh->validity());
  last_issue_ = now;
  issue_error_.reset();
  log::info(outcome.before ? "svid rotated" : "svid issued",
            {{"spiffe_id", fresh->id().str()},
             {"old_serial", outcome.before ? outcome.before->leaf().serial() : ""},
             {"new_serial", fresh->leaf().serial()},
             {"not_after", to_rfc3339(fresh->validity().not_after)},
             {"ms", (now - in_flight_.at(outcome.entry_id)).count()}});
}

void Rotator::plan_retry(const EntryPtr& entry, const Error& error) {
  Time now = clock_.now();
  SvidPtr held = store_.is_supplied(entry->id) ? store_.svid(entry->id) : nullptr;
  schedule_.failed(entry->id, now, held ? std::optional(held->validity().not_after) : std::nullopt,
                   error.retry_after);
  issue_error_ = error;
  log::warn("svid not issued", {{"spiffe_id", entry->spiffe_id.str()},
                                {"error", error.message},
                                {"failures", schedule_.failures(entry->id)},
                                {"retry_in", to_text(*schedule_.planned(entry->id) - now)},
                                {"served_until", held ? to_rfc3339(held->validity().not_after)
                                                      : "nothing is served"}});
  store_.report_failure(entry->id, error);
}

void Rotator::wake() {
  heed_step_back();
  store_.drop_expired();
  evict_unwanted();
  finish_early();
  for (const std::string& entry_id : schedule_.take_due(clock_.now())) {
    if (store_.is_wanted(entry_id)) enqueue(entry_id);
  }
  start_queued();
  arm();
}

void Rotator::finish_early() {
  std::vector<Early> ripe;
  for (const auto& [entry_id, early] : early_) {
    if (early.issued.svid.validity().not_before <= clock_.now()) ripe.push_back(early);
  }
  for (Early& early : ripe) {
    early_.erase(early.entry->id);
    finish_issue(early.entry, early.bundle, std::move(early.issued));
  }
}

void Rotator::evict_unwanted() {
  std::vector<std::string> over;
  for (const auto& [entry_id, since] : unwanted_since_) {
    if (since + options_.grace <= clock_.now() && !is_busy(entry_id)) over.push_back(entry_id);
  }
  for (const std::string& entry_id : over) {
    unwanted_since_.erase(entry_id);
    schedule_.forget(entry_id);
    store_.evict(entry_id);
  }
}

bool Rotator::is_busy(const std::string& entry_id) const {
  return in_flight_.contains(entry_id) || queue_.contains(entry_id);
}

// Plans that were made by a clock that ran ahead would let those who have nothing wait for hours.
void Rotator::heed_step_back() {
  Time now = clock_.now();
  bool stepped_back = now + kStepBack < std::exchange(latest_, now);
  if (!stepped_back) return;
  bundle_keeper_.fetch();
  for (const EntryPtr& entry : store_.entries().all()) {
    bool waits = !store_.is_supplied(entry->id) || schedule_.failures(entry->id) > 0;
    if (store_.is_wanted(entry->id) && waits) schedule_.due_now(entry->id, now);
  }
  for (auto& [entry_id, since] : unwanted_since_) since = std::min(since, now);
  for (const auto& [entry_id, early] : std::exchange(early_, {})) {
    in_flight_.erase(entry_id);
    enqueue(entry_id);
  }
}

void Rotator::arm() {
  std::optional<Time> when;
  auto consider = [&](std::optional<Time> time) {
    if (time && (!when || *time < *when)) when = time;
  };
  consider(schedule_.next());
  consider(store_.next_expiry());
  for (const auto& [entry_id, since] : unwanted_since_) {
    if (!is_busy(entry_id)) consider(since + options_.grace);
  }
  for (const auto& [entry_id, early] : early_) {
    consider(early.issued.svid.validity().not_before);
  }
  if (clock_.now() < kEarliestSaneTime) consider(kEarliestSaneTime);
  if (when) {
    alarm_.set(*when);
  } else {
    alarm_.clear();
  }
}

}  // namespace nodepilot
