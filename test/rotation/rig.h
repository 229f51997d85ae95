// The rotation room on a stage: everything real but time, threads and the CA.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/base/workers.h"
#include "rotation/rotator.h"
#include "test/rotation/fake_ca.h"

namespace nodepilot {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// Entry N is "eN": spiffe://td/N for uid N, for an hour.
inline Entry make_entry(int number) {
  std::string text = std::to_string(number);
  return {.id = "e" + text,
          .spiffe_id = SpiffeId::parse("spiffe://td/" + text).value(),
          .match = {{"unix", "uid:" + text}},
          .dns_names = {},
          .hint = ""};
}

inline EntrySet make_entries(int count) {
  std::vector<Entry> entries;
  entries.reserve(static_cast<std::size_t>(count));
  for (int number = 0; number < count; ++number) entries.push_back(make_entry(number));
  return EntrySet(std::move(entries));
}

// One that is subscribed as `uid`, and what it was told since.
struct Watcher {
  Watcher(IdentityStore& store, int uid, Interest interest = Interest::kSvids)
      : Watcher(store, Selectors{selector(uid)}, interest) {}
  Watcher(IdentityStore& store, const Selectors& selectors, Interest interest = Interest::kSvids)
      : subscription(store.subscribe(
            selectors, [this](const UpdatePtr& update) { updates.emplace_back(update); },
            interest)) {}
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  static Selector selector(int uid) { return {"unix", "uid:" + std::to_string(uid)}; }

  const WorkloadUpdate& now() const { return *subscription->latest(); }
  // Of the first SVID seen now; empty if there is none.
  std::string serial() const {
    return now().svids.empty() ? "" : now().svids.front().svid->leaf().serial();
  }
  void leave() { subscription.reset(); }

  std::vector<UpdatePtr> updates;
  std::unique_ptr<Subscription> subscription;
};

struct Rig {
  explicit Rig(
      int entries = 1, Rotator::Options options = {}, Jitter jitter = [] { return 0.5; })
      : Rig(make_entries(entries), options, std::move(jitter)) {}
  Rig(EntrySet entries, Rotator::Options options, Jitter jitter)
      : store(clock, std::move(entries)),
        rotator(clock, workers, ca, store, options, std::move(jitter)) {
    store.set_demand(&rotator);
    rotator.start();
  }

  // Rotates entry `number`; the outcome is empty while it is not done.
  std::shared_ptr<std::optional<RotationOutcome>> rotate(int number) {
    auto outcome = std::make_shared<std::optional<RotationOutcome>>();
    rotator.rotate("e" + std::to_string(number),
                   [outcome](const RotationOutcome& done) { *outcome = done; });
    return outcome;
  }

  std::unique_ptr<Watcher> watch(int uid) { return std::make_unique<Watcher>(store, uid); }
  std::vector<std::unique_ptr<Watcher>> watch_all(int count) {
    std::vector<std::unique_ptr<Watcher>> watchers;
    watchers.reserve(static_cast<std::size_t>(count));
    for (int uid = 0; uid < count; ++uid) watchers.push_back(watch(uid));
    return watchers;
  }

  FakeClock clock;
  InlineWorkers workers;
  FakeCa ca{clock};
  IdentityStore store;
  Rotator rotator;
};

}  // namespace nodepilot
