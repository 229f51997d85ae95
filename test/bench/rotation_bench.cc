// Rotation at scale. Prints JSON.
//   soak ROTATIONS      1,000 identities on a simulated clock, with a CA that fails, answers
//   wrongly
//                       and changes its root; looks at everything a subscriber is shown
//   outage IDENTITIES   the CA is down for 40 % of the certificates' life, also simulated
//   forced IDENTITIES   all of them rotated by force: real time, the embedded CA, two workers
#include <cstdio>
#include <cstring>
#include <deque>
#include <nlohmann/json.hpp>
#include <random>
#include <string_view>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "rotation/ca/local_ca.h"
#include "test/rotation/rig.h"
#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

using Json = nlohmann::json;
using Random = std::mt19937_64;

constexpr std::size_t kRate = 50;  // CSRs a second

Jitter jitter_from(Random& random) {
  return [&random] { return std::uniform_real_distribution<double>()(random); };
}

bool chance(Random& random, double probability) {
  return std::bernoulli_distribution(probability)(random);
}

// What subscribers were shown, held against the promise.
struct Verdict {
  std::size_t updates = 0;
  std::size_t expired = 0;     // not valid when it was shown, or still there after its end; a
                               // clock that is set back by less than a minute is lived with
  std::size_t mismatched = 0;  // key, ID or roots do not fit
  std::size_t gaps = 0;        // nobody served, at a look every minute

  static bool is_valid(const X509Svid& svid, Time now) {
    return svid.validity().not_before <= now + minutes(1) && now <= svid.validity().not_after;
  }
  void look_at_update(const WorkloadUpdate& update, Time now) {
    ++updates;
    for (const HeldSvid& held : update.svids) {
      const X509Svid& svid = *held.svid;
      if (!is_valid(svid, now)) ++expired;
      auto id = verify_peer_chain(svid.chain(), *update.bundle, now);
      if (!id || *id != held.entry->spiffe_id || !svid.leaf().has_key(svid.key())) ++mismatched;
    }
  }
  void look_at(const WorkloadUpdate& shown, Time now) {
    if (shown.svids.empty()) ++gaps;
    for (const HeldSvid& held : shown.svids) {
      if (!is_valid(*held.svid, now)) ++expired;
    }
  }
};

// An identity's only subscriber, which takes roots and SVIDs as they come.
struct Viewer {
  Viewer(Rig& rig, Verdict& verdict, int uid)
      : subscription(rig.store.subscribe(
            Selectors{Watcher::selector(uid)},
            [this, &rig, &verdict](const UpdatePtr& update) {
              verdict.look_at_update(*update, rig.clock.now());
              if (subscription) subscription->took_roots(update->bundle);
            },
            Interest::kSvids)) {
    subscription->took_roots(rig.store.bundle());
  }

  const WorkloadUpdate& shown() const { return *subscription->latest(); }

  std::unique_ptr<Subscription> subscription;
};

// A day in the life of the CA, one of its moods each minute.
void change_mood(Rig& rig, Random& random) {
  rig.ca.recover();
  rig.ca.start_life_at(Duration(0));
  if (chance(random, 0.2)) {
    rig.ca.fail_with(chance(random, 0.5) ? Code::kUnavailable : Code::kInternal);
  } else if (chance(random, 0.05)) {
    rig.ca.start_life_at(seconds(std::uniform_int_distribution(-120, 50)(random)));
  }
  if (chance(random, 0.001)) rig.ca.change_root();
}

Json soak(std::size_t rotations) {
  constexpr int kIdentities = 1000;
  Random random(1);
  Rig rig(kIdentities, {.policy = {}, .max_rate = kRate}, jitter_from(random));
  Verdict verdict;
  std::deque<Viewer> viewers;
  for (int uid = 0; uid < kIdentities; ++uid) viewers.emplace_back(rig, verdict, uid);
  rig.clock.advance(minutes(1));

  Time begun = rig.clock.now();
  while (rig.ca.issued() < rotations) {
    change_mood(rig, random);
    rig.clock.advance(seconds(std::uniform_int_distribution(50, 70)(random)));
    if (chance(random, 0.01))
      rig.clock.jump(rig.clock.now() + seconds(chance(random, 0.5) ? 2 : -2));
    for (const Viewer& viewer : viewers) verdict.look_at(viewer.shown(), rig.clock.now());
  }
  return {{"identities", kIdentities},
          {"rotations", rig.ca.issued()},
          {"requests_to_the_ca", rig.ca.signs()},
          {"changes_of_root", rig.ca.roots() - 1},
          {"simulated_days", std::chrono::round<hours>(rig.clock.now() - begun).count() / 24.0},
          {"updates_shown", verdict.updates},
          {"missed", verdict.gaps},
          {"expired_shown", verdict.expired},
          {"mismatched_shown", verdict.mismatched}};
}

Json outage(std::size_t identities) {
  Random random(2);
  Rig rig(static_cast<int>(identities), {.policy = {}, .max_rate = kRate}, jitter_from(random));
  Verdict verdict;
  std::deque<Viewer> viewers;
  for (std::size_t uid = 0; uid < identities; ++uid) {
    viewers.emplace_back(rig, verdict, static_cast<int>(uid));
  }
  rig.clock.advance(minutes(26));  // of an hour's life; renewals are about to begin
  rig.ca.fail_with(Code::kUnavailable);
  for (int minute = 0; minute < 24; ++minute) {
    rig.clock.advance(minutes(1));
    for (const Viewer& viewer : viewers) verdict.look_at(viewer.shown(), rig.clock.now());
  }
  rig.ca.recover();
  Time back = rig.clock.now();

  std::deque<std::size_t> signs{rig.ca.signs()};  // of the last second, ten times a second
  std::size_t peak = 0;
  std::optional<Duration> all_renewed;
  while (!all_renewed && rig.clock.now() < back + minutes(10)) {
    rig.clock.advance(milliseconds(100));
    signs.push_back(rig.ca.signs());
    if (signs.size() > 11) signs.pop_front();
    peak = std::max(peak, signs.back() - signs.front());
    bool renewed = std::all_of(viewers.begin(), viewers.end(), [&](const Viewer& viewer) {
      const auto& svids = viewer.shown().svids;
      return !svids.empty() && svids.front().svid->validity().not_after > back + minutes(50);
    });
    if (renewed) all_renewed = rig.clock.now() - back;
  }
  return {
      {"identities", identities},
      {"expired", verdict.gaps + verdict.expired},
      {"all_renewed_after_s", all_renewed ? Json(all_renewed->count() / 1000.0) : Json(nullptr)},
      {"configured_rate", kRate},
      {"most_requests_in_a_second", peak}};
}

Json forced(std::size_t identities) {
  TemporaryDirectory directory;
  Loop loop;
  LoopClock clock(loop);
  LocalCa::Options options{.trust_domain = TrustDomain::parse("td").value(),
                           .state_dir = directory.path(),
                           .certificate_file = {},
                           .key_file = {}};
  auto ca = LocalCa::open(options, [&clock] { return clock.now(); }).value();
  IdentityStore store(clock, make_entries(static_cast<int>(identities)));
  WorkerPool workers(loop, 2);
  Random random(3);
  Rotator rotator(clock, workers, *ca, store, {}, jitter_from(random));
  store.set_demand(&rotator);
  rotator.start();
  std::vector<std::unique_ptr<Watcher>> watchers;
  for (std::size_t uid = 0; uid < identities; ++uid) {
    watchers.push_back(std::make_unique<Watcher>(store, static_cast<int>(uid)));
  }

  auto now = [] { return std::chrono::steady_clock::now(); };
  auto begun = now();
  std::chrono::duration<double> cold{};
  std::chrono::duration<double> warm{};
  std::size_t done = 0;
  std::size_t failed = 0;
  auto rotate_all = [&] {
    cold = now() - begun;
    begun = now();
    for (const EntryPtr& entry : store.identities()) {
      rotator.rotate(entry->id, [&](const RotationOutcome& outcome) {
        failed += outcome.error.has_value();
        if (++done < identities) return;
        warm = now() - begun;
        loop.stop();
      });
    }
  };
  bool is_cold = true;
  auto watch = store.on_change([&] {
    bool supplied = std::all_of(watchers.rbegin(), watchers.rend(),
                                [](const auto& watcher) { return !watcher->now().svids.empty(); });
    if (is_cold && supplied) {
      is_cold = false;
      loop.post(rotate_all);
    }
  });
  loop.run();
  return {{"identities", identities},
          {"first_issues_s", cold.count()},
          {"forced_rotations_s", warm.count()},
          {"failed", failed}};
}

}  // namespace
}  // namespace nodepilot

int main(int argc, char** argv) {
  using namespace nodepilot;
  std::string_view what = argc == 3 ? argv[1] : "";
  std::size_t count = argc == 3 ? std::strtoul(argv[2], nullptr, 10) : 0;
  log::configure(log::Level::kOff, log::Format::kLogfmt, false);
  Json result;
  if (what == "soak" && count > 0) result = soak(count);
  if (what == "outage" && count > 0) result = outage(count);
  if (what == "forced" && count > 0) result = forced(count);
  if (result.is_null()) {
    std::fputs("usage: rotation_bench soak|outage|forced COUNT\n", stderr);
    return 2;
  }
  std::printf("%s\n", result.dump(2).c_str());
  return 0;
}
