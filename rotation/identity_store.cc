#include "rotation/identity_store.h"

#include <algorithm>
#include <cassert>
#include <tuple>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

// A small step back of our clock must not withdraw what was valid a moment ago.
constexpr Duration kClockSkew = std::chrono::minutes(1);

bool is_valid(const X509Svid& svid, Time now) {
  return svid.validity().not_before <= now + kClockSkew && now <= svid.validity().not_after;
}

bool same(const std::optional<Error>& a, const std::optional<Error>& b) {
  if (!a || !b) return a.has_value() == b.has_value();
  return a->code == b->code && a->message == b->message;
}

bool same(const WorkloadUpdate& a, const WorkloadUpdate& b) {
  auto same_svid = [](const HeldSvid& x, const HeldSvid& y) {
    return x.entry == y.entry && x.svid == y.svid;
  };
  return a.entitled == b.entitled && a.entries == b.entries && a.settled == b.settled &&
         same(a.missing, b.missing) && a.bundle == b.bundle && a.federated == b.federated &&
         std::equal(a.svids.begin(), a.svids.end(), b.svids.begin(), b.svids.end(), same_svid);
}

}  // namespace

IdentityStore::IdentityStore(const Clock& clock, EntrySet entries)
    : clock_(clock), entries_(std::move(entries)) {
  for (const EntryPtr& entry : entries_.fixed()) slots_[entry->id].entry = entry;
}

IdentityStore::~IdentityStore() { assert(subscriptions_.empty()); }

std::vector<EntryPtr> IdentityStore::match(const Selectors& selectors) const {
  std::vector<EntryPtr> matched = entries_.match(selectors);
  for (EntryPtr& entry : matched) {
    if (EntryPtr known = find(entry->id)) entry = std::move(known);
  }
  return matched;
}

std::vector<EntryPtr> IdentityStore::identities() const {
  std::vector<EntryPtr> all = entries_.fixed();
  for (const auto& [entry_id, slot] : slots_) {
    if (!entries_.find(entry_id)) all.push_back(slot.entry);
  }
  return all;
}

EntryPtr IdentityStore::find(const std::string& entry_id) const {
  auto it = slots_.find(entry_id);
  return it == slots_.end() ? nullptr : it->second.entry;
}

std::unique_ptr<Subscription> IdentityStore::subscribe(
    const Selectors& selectors, std::function<void(const UpdatePtr&)> on_update, Interest interest,
    const Subscriber& who) {
  return subscribe_to(match(selectors), std::move(on_update), interest, who);
}

std::unique_ptr<Subscription> IdentityStore::subscribe_to(
    std::vector<EntryPtr> entries, std::function<void(const UpdatePtr&)> on_update,
    Interest interest, const Subscriber& who) {
  std::unique_ptr<Subscription> subscription(
      new Subscription(*this, std::move(entries), interest, who));
  subscriptions_.insert(subscription.get());
  if (interest == Interest::kSvids) demand_svids(*subscription);
  subscription->latest_ = make_update(subscription->entries_);
  subscription->on_update_ = std::move(on_update);
  return subscription;
}

void IdentityStore::demand_svids(Subscription& subscription) {
  std::vector<EntryPtr> lacking;
  for (const EntryPtr& entry : subscription.entries_) {
    add(entry);
    Slot& slot = slots_.at(entry->id);
    bool first = slot.subscribers.empty();
    slot.subscribers.insert(&subscription);
    if (first) slot.tried = false;
    if (first || !is_supplied(entry->id)) lacking.push_back(entry);
  }
  for (const EntryPtr& entry : lacking) {
    if (demand_) demand_->wanted(entry);
  }
}

void IdentityStore::unsubscribe(Subscription& subscription) {
  subscriptions_.erase(&subscription);
  behind_ -= is_behind(subscription);
  if (behind_ == 0) common_bundle_ = bundle_;
  if (subscription.interest_ == Interest::kBundles) return changed();
  for (const EntryPtr& entry : subscription.entries_) {
    Slot& slot = slots_.at(entry->id);
    slot.subscribers.erase(&subscription);
    if (auto taken = subscription.taken_.find(entry->id); taken != subscription.taken_.end()) {
      --slot.streams;
      slot.streams_current -= slot.has(taken->second);
    }
    if (slot.subscribers.empty() && demand_) demand_->unwanted(entry);
  }
  changed();
}

void IdentityStore::add(const EntryPtr& entry) {
  slots_.try_emplace(entry->id).first->second.entry = entry;
}

expected<void> IdentityStore::install(const std::string& entry_id, SvidPtr svid) {
  auto it = slots_.find(entry_id);
  if (it == slots_.end()) return fail(Code::kNotFound, "install an SVID: no entry " + entry_id);
  Slot& slot = it->second;
  assert(svid->id() == slot.entry->spiffe_id);
  Time now = clock_.now();
  const Validity& validity = svid->validity();
  if (!is_valid(*svid, now)) {
    return fail(Code::kFailedPrecondition, "install the SVID of " + svid->id().str() +
                                               ": valid from " + to_rfc3339(validity.not_before) +
                                               " to " + to_rfc3339(validity.not_after) +
                                               ", but it is " + to_rfc3339(now));
  }
  bool worn = validity.not_after - now < validity.lifetime() / 2;
  if (worn && slot.svid && is_valid(*slot.svid, now) &&
      validity.not_after < slot.svid->validity().not_after) {
    return fail(Code::kFailedPrecondition, "install the SVID of " + svid->id().str() +
                                               ": it ends at " + to_rfc3339(validity.not_after) +
                                               ", most of its life is gone, and the one held"
                                               " is good until " +
                                               to_rfc3339(slot.svid->validity().not_after));
  }
  hold(slot, std::move(svid));
  slot.failure.reset();
  slot.tried = true;
  refresh(slot.subscribers);
  changed();
  return {};
}

void IdentityStore::report_failure(const std::string& entry_id, Error error) {
  auto it = slots_.find(entry_id);
  if (it == slots_.end()) return;
  it->second.failure = std::move(error);
  it->second.tried = true;
  refresh(it->second.subscribers);
  changed();
}

void IdentityStore::expect(const std::string& entry_id) {
  auto it = slots_.find(entry_id);
  if (it != slots_.end()) it->second.tried = false;
}

void IdentityStore::drop_expired() {
  Time now = clock_.now();
  std::set<Subscription*> touched;
  bool dropped = false;
  while (!by_expiry_.empty() && by_expiry_.begin()->first < now) {
    Slot& slot = slots_[by_expiry_.begin()->second];
    // One that a restart brought back and nobody has asked for since is no loss.
    auto tell = slot.subscribers.empty() ? log::info : log::error;
    tell("svid expired", {{"spiffe_id", slot.entry->spiffe_id.str()},
                          {"serial", slot.svid->leaf().serial()},
                          {"not_after", to_rfc3339(slot.svid->validity().not_after)}});
    hold(slot, nullptr);
    touched.insert(slot.subscribers.begin(), slot.subscribers.end());
    dropped = true;
  }
  if (!dropped) return;
  refresh(touched);
  changed();
}

std::optional<Time> IdentityStore::next_expiry() const {
  if (by_expiry_.empty()) return std::nullopt;
  return by_expiry_.begin()->first + Duration(1);  // notAfter itself is still within the life
}

void IdentityStore::evict(const std::string& entry_id) {
  auto it = slots_.find(entry_id);
  if (it == slots_.end() || !it->second.subscribers.empty()) return;
  hold(it->second, nullptr);
  it->second.failure.reset();
  if (!entries_.find(entry_id)) slots_.erase(it);
  changed();
}

void IdentityStore::set_bundle(BundlePtr bundle) {
  if (bundle_ && bundle && *bundle_ == *bundle) return;
  bool same_roots = bundle_ && bundle && bundle_->same_roots(*bundle);
  bool was_settled = common_bundle_ == bundle_;
  bundle_ = std::move(bundle);
  if (!same_roots) {
    roots_since_ = clock_.now();
    recount_behind();
  }
  if (behind_ == 0 || (same_roots && was_settled)) common_bundle_ = bundle_;
  refresh(subscriptions_);
  changed();
}

bool IdentityStore::is_behind(const Subscription& subscription) const {
  if (!subscription.told_roots_ || !bundle_) return false;
  const BundlePtr& taken = subscription.taken_roots_;
  return taken != bundle_ && !(taken && taken->same_roots(*bundle_));
}

void IdentityStore::recount_behind() {
  behind_ = static_cast<std::size_t>(
      std::count_if(subscriptions_.begin(), subscriptions_.end(),
                    [&](const Subscription* subscription) { return is_behind(*subscription); }));
}

std::size_t IdentityStore::settle_roots() {
  common_bundle_ = bundle_;
  return behind_;
}

void IdentityStore::set_federated(const TrustDomain& trust_domain, BundlePtr bundle) {
  auto held = federated_.find(trust_domain);
  if (!bundle) {
    if (held == federated_.end()) return;
    federated_.erase(held);
  } else {
    if (held != federated_.end() && *held->second == *bundle) return;
    federated_.insert_or_assign(trust_domain, std::move(bundle));
  }
  refresh(subscriptions_);
  changed();
}

std::map<TrustDomain, BundlePtr> IdentityStore::federated_with(
    const std::vector<EntryPtr>& entries) const {
  std::map<TrustDomain, BundlePtr> bundles;
  for (const EntryPtr& entry : entries) {
    for (const TrustDomain& trust_domain : entry->federates_with) {
      auto known = federated_.find(trust_domain);
      if (known != federated_.end()) bundles.insert(*known);
    }
  }
  return bundles;
}

SvidPtr IdentityStore::svid(const std::string& entry_id) const {
  auto it = slots_.find(entry_id);
  return it == slots_.end() ? nullptr : it->second.svid;
}

bool IdentityStore::is_supplied(const std::string& entry_id) const {
  SvidPtr held = svid(entry_id);
  return held && is_valid(*held, clock_.now());
}

bool IdentityStore::is_wanted(const std::string& entry_id) const {
  auto it = slots_.find(entry_id);
  return it != slots_.end() && !it->second.subscribers.empty();
}

EntryState IdentityStore::state(const std::string& entry_id) const {
  EntryState state;
  auto it = slots_.find(entry_id);
  if (it == slots_.end()) return state;
  const Slot& slot = it->second;
  state.entry = slot.entry;
  state.svid = slot.svid;
  state.failure = slot.failure;
  state.subscribers = slot.subscribers.size();
  state.streams = slot.streams;
  state.streams_current = slot.streams_current;
  return state;
}

std::vector<SubscriberState> IdentityStore::subscribers_of(const std::string& entry_id) const {
  std::vector<SubscriberState> all;
  auto it = slots_.find(entry_id);
  if (it == slots_.end()) return all;
  for (const Subscription* subscriber : it->second.subscribers) {
    auto taken = subscriber->taken_.find(entry_id);
    bool sent = taken != subscriber->taken_.end();
    all.push_back({subscriber->who_, sent, sent ? taken->second : ""});
  }
  std::sort(all.begin(), all.end(), [](const SubscriberState& a, const SubscriberState& b) {
    return std::tie(a.who.pid, a.serial) < std::tie(b.who.pid, b.serial);
  });
  return all;
}

std::map<std::string, std::size_t> IdentityStore::subscriptions_by_api() const {
  std::map<std::string, std::size_t> counts;
  for (const Subscription* subscription : subscriptions_) {
    if (subscription->who_.pid != 0) ++counts[subscription->who_.api];
  }
  return counts;
}

std::shared_ptr<void> IdentityStore::on_change(std::function<void()> listener) {
  auto handle = std::make_shared<std::function<void()>>(std::move(listener));
  listeners_.push_back(handle);
  return handle;
}

std::shared_ptr<void> IdentityStore::on_svid(std::function<void(const std::string&)> listener) {
  auto handle = std::make_shared<std::function<void(const std::string&)>>(std::move(listener));
  svid_listeners_.push_back(handle);
  return handle;
}

UpdatePtr IdentityStore::make_update(const std::vector<EntryPtr>& entries) const {
  auto update = std::make_shared<WorkloadUpdate>();
  if (entries.empty()) return update;
  Time now = clock_.now();
  update->entitled = true;
  update->entries = entries;
  update->bundle = bundle_;
  update->federated = federated_with(entries);
  update->settled = bundle_ != nullptr;
  bool is_retried = false;  // one that has failed before is being issued
  static const Slot nothing_held;
  for (const EntryPtr& entry : entries) {
    auto held = slots_.find(entry->id);
    const Slot& slot = held == slots_.end() ? nothing_held : held->second;
    if (slot.svid && is_valid(*slot.svid, now)) {
      update->svids.push_back({entry, slot.svid});
    } else if (slot.failure) {
      if (!update->missing) update->missing = slot.failure;
      is_retried |= !slot.tried;
    } else {
      update->settled = false;
    }
  }
  // It may fail again, or take long: who has others need not wait for it.
  if (is_retried && update->svids.empty()) update->settled = false;
  if (!update->settled) update->missing.reset();
  return update;
}

void IdentityStore::refresh(const std::set<Subscription*>& subscriptions) {
  // First every update, shared by all who may see the same; only then the callbacks, any of which
  // may begin and end subscriptions or cause a further change.
  std::map<std::vector<EntryPtr>, UpdatePtr> updates;
  std::vector<std::pair<Subscription*, UpdatePtr>> news;
  for (Subscription* subscription : subscriptions) {
    if (!subscription->on_update_) continue;
    UpdatePtr& update = updates[subscription->entries_];
    if (!update) update = make_update(subscription->entries_);
    if (same(*update, *subscription->latest_)) continue;
    subscription->latest_ = update;
    news.emplace_back(subscription, update);
  }
  for (const auto& [subscription, update] : news) {
    if (!subscriptions_.contains(subscription) || subscription->latest_ != update) continue;
    auto on_update = subscription->on_update_;  // a copy: the call may destroy the subscription
    on_update(update);
  }
}

void IdentityStore::hold(Slot& slot, SvidPtr svid) {
  const std::string& id = slot.entry->id;
  if (slot.svid) by_expiry_.erase({slot.svid->validity().not_after, id});
  slot.svid = std::move(svid);
  if (slot.svid) by_expiry_.emplace(slot.svid->validity().not_after, id);
  slot.serial = slot.svid ? slot.svid->leaf().serial() : std::string();
  slot.streams_current = 0;
  for (const Subscription* subscription : slot.subscribers) {
    auto taken = subscription->taken_.find(id);
    if (taken != subscription->taken_.end()) slot.streams_current += slot.has(taken->second);
  }
  for (const auto& weak : svid_listeners_) {
    if (auto listener = weak.lock()) (*listener)(id);
  }
}

void IdentityStore::changed() {
  listeners_.remove_if([](const auto& listener) { return listener.expired(); });
  auto listeners = listeners_;
  for (const auto& weak : listeners) {
    if (auto listener = weak.lock()) (*listener)();
  }
}

void IdentityStore::note_roots(Subscription& subscription, const BundlePtr& taken) {
  bool was_behind = is_behind(subscription);
  subscription.told_roots_ = true;
  if (taken) subscription.taken_roots_ = taken;
  behind_ += is_behind(subscription);
  behind_ -= was_behind;
  if (behind_ > 0 || common_bundle_ == bundle_) return;
  common_bundle_ = bundle_;
  changed();
}

Subscription::~Subscription() { store_.unsubscribe(*this); }

void Subscription::sent(const std::string& entry_id) {
  if (taken_.try_emplace(entry_id).second) ++store_.slots_.at(entry_id).streams;
}

void Subscription::took(const std::string& entry_id, const std::string& serial) {
  sent(entry_id);
  IdentityStore::Slot& slot = store_.slots_.at(entry_id);
  std::string& taken = taken_.at(entry_id);
  slot.streams_current -= slot.has(taken);
  taken = serial;
  slot.streams_current += slot.has(taken);
  store_.changed();
}

void Subscription::sent_roots() { store_.note_roots(*this, nullptr); }

void Subscription::took_roots(const BundlePtr& bundle) { store_.note_roots(*this, bundle); }

}  // namespace nodepilot
