// Roots that come, go and are spoilt.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "test/rotation/rig.h"

namespace nodepilot {
namespace {

bool has_root(const WorkloadUpdate& update, const Certificate& root) {
  const auto& roots = update.bundle->roots();
  return std::find(roots.begin(), roots.end(), root) != roots.end();
}

TEST_CASE("fault 19: a new root is on every stream before the first leaf of it, within 5 s") {
  Rig rig(2);
  auto web = rig.watch(0);
  auto db = rig.watch(1);
  for (auto* watcher : {web.get(), db.get()}) {
    watcher->subscription->took_roots(watcher->now().bundle);
  }
  rig.ca.change_root();

  auto outcome = rig.rotate(0);
  web->subscription->took_roots(web->now().bundle);
  CHECK(has_root(db->now(), rig.ca.root()));
  CHECK_FALSE(outcome->has_value());  // db has not taken the root
  rig.clock.advance(seconds(5));

  REQUIRE(outcome->has_value());
  CHECK((*outcome)->fresh->root() == rig.ca.root());
}

TEST_CASE(
    "fault 20: a root that served leaves need outlives its withdrawal, and they are replaced") {
  Rig rig(20, {}, [engine = std::mt19937_64(5)]() mutable {
    return std::uniform_real_distribution<double>()(engine);
  });
  auto watchers = rig.watch_all(20);
  Certificate withdrawn = rig.ca.root();
  rig.ca.change_root();
  rig.clock.advance(minutes(1) + seconds(5));
  REQUIRE(has_root(watchers[0]->now(), rig.ca.root()));

  for (int second = 0; second < 420; ++second) {
    for (const auto& watcher : watchers) {
      const WorkloadUpdate& seen = watcher->now();
      CHECK(verify_peer_chain(seen.svids.front().svid->chain(), *seen.bundle, rig.clock.now()));
    }
    rig.clock.advance(seconds(1));
  }

  CHECK_FALSE(has_root(watchers[0]->now(), withdrawn));
  CHECK(rig.ca.signs() == 40);
}

TEST_CASE("fault 21: an empty bundle and a failing one leave the bundle that is held") {
  Rig rig;
  auto watcher = rig.watch(0);
  BundlePtr held = watcher->now().bundle;

  rig.ca.tell_roots({});
  rig.clock.advance(minutes(10));
  CHECK(watcher->now().bundle == held);
  rig.ca.fail_with(Code::kDataLoss);
  rig.clock.advance(minutes(10));

  CHECK(watcher->now().bundle == held);
  CHECK(rig.rotator.ca_last_error());
}

TEST_CASE("fault 22: a foreign bundle that is withdrawn goes alone") {
  Entry entry = make_entry(0);
  TrustDomain partner = TrustDomain::parse("partner.example").value();
  TrustDomain other = TrustDomain::parse("other.example").value();
  entry.federates_with = {partner, other};
  Rig rig(EntrySet(std::vector{entry}), {}, [] { return 0.5; });
  auto watcher = rig.watch(0);
  for (const TrustDomain& domain : {partner, other}) {
    rig.store.set_federated(domain, std::make_shared<const TrustBundle>(
                                        TrustBundle::foreign(domain, {rig.ca.root()}, {})));
  }
  REQUIRE(watcher->now().federated.size() == 2);
  std::string serial = watcher->serial();

  rig.store.set_federated(partner, nullptr);

  CHECK(watcher->now().federated.size() == 1);
  CHECK(watcher->now().federated.contains(other));
  CHECK(watcher->now().bundle);
  CHECK(watcher->serial() == serial);
}

TEST_CASE(
    "fault 23: leaves of a withdrawn root are issued anew by and by, the others are left alone") {
  Rig rig(60, {}, [engine = std::mt19937_64(6)]() mutable {
    return std::uniform_real_distribution<double>()(engine);
  });
  std::vector<std::unique_ptr<Watcher>> tainted;
  for (int uid = 0; uid < 50; ++uid) tainted.push_back(rig.watch(uid));
  rig.ca.change_root();
  rig.ca.tell_all_roots();
  std::vector<std::unique_ptr<Watcher>> sound;
  std::vector<std::string> serials;
  rig.clock.advance(minutes(2));
  for (int uid = 50; uid < 60; ++uid) {
    sound.push_back(rig.watch(uid));
    serials.push_back(sound.back()->serial());
  }

  rig.ca.tell_roots({rig.ca.root()});
  std::size_t before = rig.ca.signs();
  rig.clock.advance(minutes(1) + seconds(30));
  std::size_t soon = rig.ca.signs() - before;
  rig.clock.advance(minutes(5));

  CHECK(soon < 25);
  CHECK(rig.ca.signs() - before == 50);
  for (std::size_t i = 0; i < sound.size(); ++i) CHECK(sound[i]->serial() == serials[i]);
}

}  // namespace
}  // namespace nodepilot
