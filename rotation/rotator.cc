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

// So long a failure is the answer to who comes after it; then a caller makes us try again.
constexpr Duration kFailureHolds = std::chrono::seconds(2);

// A person who forces a rotation waits at most behind what ends so soon.
constexpr Duration kForcedWithin = std::chrono::minutes(1);

// When the CA is back, who failed meanwhile comes within this time.
constexpr Duration kRecoverySpread = std::chrono::seconds(10);

// Evenly spaced; the burst is what falls due within the alarm's own coarseness.
std::optional<BasicTokenBucket<Time>> make_rate(std::optional<std::size_t> per_second) {
  if (!per_second) return std::nullopt;
  return BasicTokenBucket<Time>(*per_second, std::max<std::size_t>(*per_second / 100, 1));
}

}  // namespace

Rotator::Rotator(Clock& clock, Workers& workers, CertificateAuthority& ca, IdentityStore& store,
                 Options options, Jitter jitter)
    : clock_(clock),
      workers_(workers),
      ca_(ca),
      store_(store),
      options_(options),
      schedule_(options.policy, jitter),
      root_change_(store),
      bundle_keeper_(clock, workers, ca, store, options.policy, options.bundle_refresh,
                     std::move(jitter), [this](const auto& orphans) { leave_root(orphans); }),
      alarm_(clock, [this] { wake(); }),
      clock_watch_(clock.on_step([this] { wake(); })),
      store_watch_(store.on_change([this] {
        if (store_.common_bundle() == store_.bundle()) release_held();
        start_queued();
      })),
      rate_(make_rate(options.max_rate)),
      latest_(clock.now()),
      self_(std::make_shared<Rotator*>(this)) {}

Rotator::~Rotator() = default;

void Rotator::start() {
  if (clock_.now() < kEarliestSaneTime) {
    log::warn("the clock is not set: nothing is issued until it is",
              {{"now", to_rfc3339(clock_.now())}});
  }
  for (const EntryPtr& entry : store_.identities()) {
    if (entry->prefetch) demand(entry->id);
  }
  bundle_keeper_.fetch();
  start_queued();
  arm();
}

expected<void> Rotator::restore(const EntryPtr& entry, SvidPtr svid, Time arrived) {
  Validity validity = svid->validity();
  store_.add(entry);
  // Nobody has asked for it yet: it is kept to its end, and a while longer in its place.
  if (!is_kept(entry)) unwanted_since_[entry->id] = validity.not_after;
  TRY(store_.install(entry->id, std::move(svid)));
  schedule_.renewed(entry->id, arrived, validity);
  arm();
  return {};
}

void Rotator::wanted(const EntryPtr& entry) {
  heed_step_back();
  unwanted_since_.erase(entry->id);
  demand(entry->id);
  start_queued();
  arm();
}

void Rotator::unwanted(const EntryPtr& entry) {
  if (entry->prefetch) return;
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

void Rotator::demand(const std::string& entry_id) {
  bool is_supplied = store_.is_supplied(entry_id);
  if (is_supplied && schedule_.planned(entry_id)) return;
  auto failed_at = schedule_.failed_at(entry_id);
  if (!is_supplied && failed_at && clock_.now() < *failed_at + kFailureHolds) {
    schedule_.no_later_than(entry_id, *failed_at + kFailureHolds);
    return;
  }
  enqueue(entry_id);
  store_.expect(entry_id);
}

void Rotator::enqueue(const std::string& entry_id) {
  if (!in_flight_.contains(entry_id)) queue_.push(entry_id, urgency_of(entry_id));
}

Urgency Rotator::urgency_of(const std::string& entry_id) const {
  if (!store_.is_supplied(entry_id)) {
    return {store_.is_wanted(entry_id) ? Need::kMissing : Need::kPrefetch};
  }
  Time expiry = store_.svid(entry_id)->validity().not_after;
  bool is_forced = waiters_.contains(entry_id);
  return {Need::kHeld, is_forced ? std::min(expiry, clock_.now() + kForcedWithin) : expiry};
}

bool Rotator::can_issue() const {
  return !queue_.empty() && store_.bundle() && clock_.now() >= kEarliestSaneTime &&
         in_flight_.size() - held_.size() < options_.max_in_flight;
}

void Rotator::start_queued() {
  // Workers that run inline come back here from within start_issue(); the loop below goes on then.
  if (starting_) return;
  starting_ = true;
  while (can_issue() && (!rate_ || rate_->take(clock_.now()))) {
    start_issue(store_.find(*queue_.pop()));
  }
  starting_ = false;
  arm();
}

void Rotator::start_issue(const EntryPtr& entry) {
  BundlePtr bundle = store_.bundle();
  in_flight_.emplace(entry->id, clock_.now());
  using Done = std::pair<expected<IssuedSvid>, CaAnswers>;
  workers_.run(
      [&ca = ca_, &clock = clock_, entry, bundle, life = options_.life] {
        MeasuredCa measured(ca);
        auto result = issue(measured, *entry, *bundle, clock, life);
        return Done(std::move(result), measured.answers());
      },
      [weak = std::weak_ptr<Rotator*>(self_), entry, bundle](Done done) {
        auto self = weak.lock();
        if (!self) return;
        add((*self)->ca_answers_, done.second);
        (*self)->finish_issue(entry, bundle, std::move(done.first));
      });
}

void Rotator::finish_issue(const EntryPtr& entry, const BundlePtr& bundle,
                           expected<IssuedSvid> result) {
  if (!result) {
    conclude(entry, store_.svid(entry->id), tl::unexpected<Error>(std::move(result).error()));
  } else {
    // The CA has answered: whoever could not reach it may come.
    heed_recovery();
    BundlePtr verified_against = bundle;
    if (result->newer_bundle) {
      bundle_keeper_.adopt(*std::move(result->newer_bundle));
      verified_against = store_.bundle();
    }
    offer({entry, verified_against, std::move(result->svid)});
  }
  start_queued();
  arm();
}

void Rotator::offer(HeldBack::Item item) {
  if (item.svid.validity().not_before > clock_.now() || !is_root_everywhere(item.svid)) {
    return held_.hold(std::move(item));
  }
  EntryPtr entry = item.entry;
  SvidPtr before = store_.svid(entry->id);
  conclude(entry, std::move(before), publish(std::move(item)));
}

bool Rotator::is_root_everywhere(const X509Svid& svid) const {
  BundlePtr common = store_.common_bundle();
  return common == store_.bundle() ||
         (common && verify_peer_chain(svid.chain(), *common, clock_.now()));
}

expected<SvidPtr> Rotator::publish(HeldBack::Item item) {
  if (store_.bundle() != item.bundle) {
    // The roots changed while it was issued or held back.
    TRY(verify_peer_chain(item.svid.chain(), *store_.bundle(), clock_.now()));
  }
  auto svid = std::make_shared<const X509Svid>(std::move(item.svid));
  TRY(store_.install(item.entry->id, svid));
  return svid;
}

void Rotator::conclude(const EntryPtr& entry, SvidPtr before, const expected<SvidPtr>& published) {
  RotationOutcome outcome{entry->id, std::move(before), nullptr, std::nullopt};
  if (published) {
    outcome.fresh = *published;
    ++tally(entry->id, outcome.before).succeeded;
    plan_renewal(outcome);
    leave_root(root_change_.left_behind(outcome.before, *outcome.fresh));
  } else {
    outcome.error = published.error();
    ++tally(entry->id, outcome.before).failed;
    plan_retry(entry, published.error());
  }

  in_flight_.erase(entry->id);
  auto node = waiters_.extract(entry->id);
  if (!node) return;
  for (const auto& done : node.mapped()) done(outcome);
}

RotationCounts::Tally& Rotator::tally(const std::string& entry_id, const SvidPtr& before) {
  if (waiters_.contains(entry_id)) return counts_.forced;
  return before ? counts_.renewal : counts_.first;
}

CaAnswers Rotator::ca_answers() const {
  CaAnswers all = ca_answers_;
  add(all, bundle_keeper_.ca_answers());
  return all;
}

void Rotator::plan_renewal(const RotationOutcome& outcome) {
  const SvidPtr& fresh = outcome.fresh;
  Time now = clock_.now();
  schedule_.renewed(outcome.entry_id, now, fresh->validity());
  last_issue_ = now;
  issue_error_.reset();
  unreached_.erase(outcome.entry_id);
  root_change_.done(outcome.entry_id);
  ending_.erase(outcome.entry_id);
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
  if (error.code == Code::kUnavailable || error.code == Code::kDeadlineExceeded) {
    unreached_.insert(entry->id);
  } else {
    unreached_.erase(entry->id);
  }
  log::warn("svid not issued", {{"spiffe_id", entry->spiffe_id.str()},
                                {"error", error.message},
                                {"failures", schedule_.failures(entry->id)},
                                {"retry_in", to_text(*schedule_.planned(entry->id) - now)},
                                {"served_until", held ? to_rfc3339(held->validity().not_after)
                                                      : "nothing is served"}});
  if (held) warn_of_end(*held, *entry);
  store_.report_failure(entry->id, error);
}

// Backoff has grown while the CA was down; waiting it out would keep everybody on old SVIDs.
void Rotator::heed_recovery() {
  for (const std::string& entry_id : std::exchange(unreached_, {})) {
    schedule_.hasten(entry_id, clock_.now(), kRecoverySpread);
  }
}

void Rotator::leave_root(const std::vector<std::string>& entry_ids) {
  std::vector<std::string> leaving = root_change_.set_out(entry_ids);
  if (leaving.empty()) return;
  for (const std::string& entry_id : leaving) {
    Duration left = store_.svid(entry_id)->validity().not_after - clock_.now();
    schedule_.hasten(entry_id, clock_.now(), std::min(options_.root_change_spread, left / 4));
  }
  log::info("svids leave an old root",
            {{"svids", leaving.size()}, {"within", to_text(options_.root_change_spread)}});
  arm();
}

void Rotator::warn_of_end(const X509Svid& held, const Entry& entry) {
  Duration left = held.validity().not_after - clock_.now();
  // CAs set notBefore back: of a short life that may be the most.
  Duration life = std::min<Duration>(held.validity().lifetime(), entry.ttl);
  if (left > schedule_.alarm_margin(life) || !ending_.insert(entry.id).second) return;
  log::error("svid about to expire", {{"spiffe_id", held.id().str()},
                                      {"not_after", to_rfc3339(held.validity().not_after)},
                                      {"left", to_text(left)},
                                      {"failures", schedule_.failures(entry.id)}});
}

void Rotator::wake() {
  heed_step_back();
  store_.drop_expired();
  evict_unwanted();
  if (!held_.empty()) {
    settle_roots();
    release_held();
  }
  for (const std::string& entry_id : schedule_.take_due(clock_.now())) {
    if (is_kept(store_.find(entry_id))) enqueue(entry_id);
  }
  start_queued();
  arm();
}

void Rotator::settle_roots() {
  bool due = clock_.now() >= store_.roots_since() + options_.root_patience;
  if (!due || store_.common_bundle() == store_.bundle()) return;
  std::size_t behind = store_.settle_roots();
  log::warn("new roots not taken in time", {{"streams", behind}});
}

void Rotator::release_held() {
  for (HeldBack::Item& item : held_.take_begun(clock_.now())) offer(std::move(item));
}

bool Rotator::is_kept(const EntryPtr& entry) const {
  return entry->prefetch || store_.is_wanted(entry->id);
}

void Rotator::evict_unwanted() {
  std::vector<std::string> over;
  for (const auto& [entry_id, since] : unwanted_since_) {
    if (since + options_.grace <= clock_.now() && !is_busy(entry_id)) over.push_back(entry_id);
  }
  for (const std::string& entry_id : over) {
    unwanted_since_.erase(entry_id);
    unreached_.erase(entry_id);
    root_change_.done(entry_id);
    schedule_.forget(entry_id);
    ending_.erase(entry_id);
    store_.evict(entry_id);
  }
  if (!over.empty()) forget_failure();
}

// Else a CA that nobody asks any more would count as failing for ever.
void Rotator::forget_failure() {
  auto all = store_.identities();
  bool some_fail = std::any_of(all.begin(), all.end(), [this](const EntryPtr& entry) {
    return schedule_.failures(entry->id) > 0;
  });
  if (!some_fail) issue_error_.reset();
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
  for (const EntryPtr& entry : store_.identities()) {
    bool waits = !store_.is_supplied(entry->id) || schedule_.failures(entry->id) > 0;
    if (is_kept(entry) && waits) schedule_.due_now(entry->id, now);
  }
  for (auto& [entry_id, since] : unwanted_since_) since = std::min(since, now);
  for (const std::string& entry_id : held_.clear()) {
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
  if (!held_.empty()) {
    consider(held_.next(clock_.now()));
    if (store_.common_bundle() != store_.bundle()) {
      consider(store_.roots_since() + options_.root_patience);
    }
  }
  if (rate_ && can_issue()) consider(rate_->next(clock_.now()));
  if (clock_.now() < kEarliestSaneTime) consider(kEarliestSaneTime);
  if (when) {
    alarm_.set(*when);
  } else {
    alarm_.clear();
  }
}

}  // namespace nodepilot
