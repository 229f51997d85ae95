#include "rotation/state/sealed_state.h"

#include <algorithm>
#include <utility>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

// The one plan in the schedule.
const char kDisk[] = "disk";
constexpr Duration kLongestRetry = std::chrono::minutes(1);
constexpr Duration kLogInterval = std::chrono::minutes(10);

RotationPolicy retry_policy() {
  RotationPolicy policy;
  policy.backoff_limit_without_svid = kLongestRetry;
  return policy;
}

expected<void> save(StateFiles& files, const SealingKey& key, const std::string& file,
                    const std::optional<SecretBytes>& content) {
  if (!content) return files.remove(file);
  std::string bytes = TRY(seal_file(key, file, *content));
  return files.write(file, bytes);
}

}  // namespace

SealedState::SealedState(Clock& clock, Workers& workers, StateFiles& files, SealingKey key,
                         IdentityStore& store, Rotator& rotator, Jitter jitter)
    : clock_(clock),
      workers_(workers),
      files_(files),
      key_(std::make_shared<const SealingKey>(std::move(key))),
      store_(store),
      rotator_(rotator),
      schedule_(retry_policy(), std::move(jitter)),
      retry_(clock, [this] { write_next(); }),
      self_(std::make_shared<SealedState*>(this)) {}

expected<void> SealedState::restore(const TrustDomain& trust_domain) {
  SavedState saved = TRY(read_saved_state(files_, *key_, store_.entries(), trust_domain));
  refused_ = std::move(saved.refused);
  waiting_ = std::move(saved.svids);
  std::size_t found = waiting_.size();
  if (saved.bundle) {
    bundle_ = std::make_shared<const TrustBundle>(*std::move(saved.bundle));
    store_.set_bundle(bundle_);
  }
  restore_waiting();
  log::info("sealed state read", {{"directory", files_.path("").string()},
                                  {"svids", found},
                                  {"served", held_.size()},
                                  {"waiting", waiting_.size()},
                                  {"bundle", bundle_ != nullptr}});
  svid_watch_ = store_.on_svid([this](const std::string& entry_id) { svid_changed(entry_id); });
  store_watch_ = store_.on_change([this] { store_changed(); });
  step_watch_ = clock_.on_step([this] { restore_waiting(); });
  for (const std::string& file : saved.obsolete) enqueue(file);
  return {};
}

void SealedState::lead(bool leads) {
  if (std::exchange(leads_, leads) == leads) return;
  if (!leads) {
    if (!is_writing_) files_.release();
    return;
  }
  auto write = [this](const std::string& file) {
    if (!refused_.contains(file)) push(file);
  };
  if (bundle_) write(std::string(kBundleFile));
  for (const auto& [entry_id, held] : held_) write(svid_file(entry_id));
  write_next();
}

std::optional<Error> SealedState::failure() const {
  if (error_) return error_;
  if (!refused_.empty()) return refused_.begin()->second;
  return std::nullopt;
}

void SealedState::restore_waiting() {
  // Roots are everywhere before the first leaf that needs them.
  bool roots_settled = store_.bundle() && store_.common_bundle() == store_.bundle();
  if (waiting_.empty() || !roots_settled) return;
  // What is served may change the store, which leads back here.
  auto waiting = std::exchange(waiting_, {});
  std::erase_if(waiting, [&](const SavedSvid& saved) { return restore_one(saved); });
  std::move(waiting.begin(), waiting.end(), std::back_inserter(waiting_));
}

bool SealedState::restore_one(const SavedSvid& saved) {
  const auto& [entry, stored] = saved;
  if (store_.is_supplied(entry->id)) return true;
  Time now = clock_.now();
  X509Svid::Expectation expectation{stored.spiffe_id, stored.dns_names, now};
  auto starts = stored.chain.front().validity().not_before;
  if (starts > now + expectation.max_clock_skew) return false;

  auto svid = X509Svid::verified(stored.key, stored.chain, *store_.bundle(), expectation);
  if (!svid) {
    give_up(*entry, svid.error().message);
    return true;
  }
  auto shared = std::make_shared<const X509Svid>(*std::move(svid));
  Time since = std::min(stored.arrived, now);
  held_[svid_file(entry->id)] = {entry, shared, since};
  if (auto taken = rotator_.restore(entry, shared, since); !taken) {
    give_up(*entry, taken.error().message);
    return true;
  }
  log::info("stored svid served", {{"spiffe_id", shared->id().str()},
                                   {"serial", shared->leaf().serial()},
                                   {"not_after", to_rfc3339(shared->validity().not_after)}});
  return true;
}

void SealedState::give_up(const Entry& entry, const std::string& why) {
  log::warn("stored svid not served", {{"entry", entry.id}, {"reason", why}});
  std::string file = svid_file(entry.id);
  held_.erase(file);
  enqueue(file);
}

void SealedState::svid_changed(const std::string& entry_id) {
  std::string file = svid_file(entry_id);
  SvidPtr svid = store_.svid(entry_id);
  auto held = held_.find(file);
  if (svid == (held == held_.end() ? nullptr : held->second.svid)) return;
  held_[file] = {store_.find(entry_id), svid, clock_.now()};
  enqueue(file);
}

void SealedState::store_changed() {
  if (store_.bundle() != bundle_) {
    bundle_ = store_.bundle();
    enqueue(std::string(kBundleFile));
  }
  restore_waiting();
}

void SealedState::enqueue(const std::string& file) {
  if (refused_.contains(file)) return;
  push(file);
  write_next();
}

void SealedState::push(const std::string& file) {
  if (!queued_.insert(file).second) return;
  if (file == kBundleFile) {
    queue_.push_front(file);  // roots are on the disk before the first SVID that needs them
  } else {
    queue_.push_back(file);
  }
}

void SealedState::write_next() {
  if (!leads_ || is_writing_ || retry_.is_set() || queue_.empty()) return;
  std::string file = std::move(queue_.front());
  queue_.pop_front();
  queued_.erase(file);
  is_writing_ = true;
  workers_.run([&files = files_, key = key_, file,
                content = content_of(file)] { return save(files, *key, file, encode(content)); },
               [weak = std::weak_ptr<SealedState*>(self_), file](const expected<void>& result) {
                 if (auto self = weak.lock()) (*self)->finish(file, result);
               });
}

SealedState::Content SealedState::content_of(const std::string& file) {
  if (file == kBundleFile) return {bundle_, {}};
  auto held = held_.find(file);
  if (held == held_.end()) return {};
  if (held->second.svid) return {nullptr, held->second};
  held_.erase(held);
  return {};
}

std::optional<SecretBytes> SealedState::encode(const Content& content) {
  if (content.bundle) return encode_bundle(*content.bundle);
  const SvidPtr& svid = content.held.svid;
  if (!svid) return std::nullopt;
  const Held& held = content.held;
  return encode_svid({svid->id(), held.entry->dns_names, held.since, svid->key(), svid->chain()});
}

void SealedState::finish(const std::string& file, const expected<void>& result) {
  is_writing_ = false;
  if (!leads_) files_.release();
  Time now = clock_.now();
  if (result) {
    if (error_) log::info("sealed state written again", {{"failures", schedule_.failures(kDisk)}});
    error_.reset();
    told_at_.reset();
    schedule_.forget(kDisk);
    return write_next();
  }
  error_ = result.error();
  push(file);
  schedule_.failed(kDisk, now, std::nullopt);
  retry_.set(*schedule_.planned(kDisk));
  if (told_at_ && now < *told_at_ + kLogInterval) return;
  told_at_ = now;
  log::error("sealed state not written: it is served from memory, and lost if the agent ends",
             {{"error", error_->message}, {"failures", schedule_.failures(kDisk)}});
}

}  // namespace nodepilot
