#include "rotation/rotator.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <random>

#include "test/rotation/rig.h"

namespace nodepilot {
namespace {

using std::chrono::days;

Jitter random_jitter() {
  return [engine = std::mt19937_64(7)]() mutable {
    return std::uniform_real_distribution<double>()(engine);
  };
}

const std::string kZero = "spiffe://td/0";

TEST_CASE("an identity is issued at the first demand and not again for the second") {
  Rig rig;

  auto first = rig.watch(0);
  auto second = rig.watch(0);

  CHECK(first->now().settled);
  REQUIRE(first->now().svids.size() == 1);
  CHECK(first->now().svids.front().svid->id().str() == kZero);
  CHECK(second->serial() == first->serial());
  CHECK(rig.ca.signs() == 1);
}

TEST_CASE("nothing is issued for entries that nobody wants") {
  Rig rig(5);

  rig.clock.advance(hours(5));

  CHECK(rig.ca.signs() == 0);
}

TEST_CASE("issues wait for the bundle") {
  Rig rig;
  rig.ca.fail_with(Code::kUnavailable);
  IdentityStore store(rig.clock, make_entries(1));
  Rotator rotator(rig.clock, rig.workers, rig.ca, store, {}, [] { return 0.5; });
  store.set_demand(&rotator);
  rotator.start();

  Watcher watcher(store, 0);
  CHECK(rig.ca.signs() == 0);
  CHECK_FALSE(watcher.now().settled);
  CHECK(rotator.ca_last_error());
  rig.ca.recover();
  rig.clock.advance(seconds(10));

  CHECK(rig.ca.signs() == 1);
  CHECK(watcher.now().settled);
  CHECK_FALSE(rotator.ca_last_error());
}

TEST_CASE("an issue in flight is joined, never doubled") {
  Rig rig;
  rig.workers.hold();

  auto first = rig.watch(0);
  auto second = rig.watch(0);
  auto outcome = rig.rotate(0);
  CHECK(rig.rotator.in_flight("e0"));
  CHECK(rig.workers.queued() == 1);
  rig.workers.release();

  CHECK(rig.ca.signs() == 1);
  CHECK(first->serial() == second->serial());
  REQUIRE(*outcome);
  CHECK((*outcome)->fresh == rig.store.svid("e0"));
}

TEST_CASE("no more issues are in flight than allowed") {
  Rig rig(20, {.policy = {}, .max_in_flight = 3});
  rig.workers.hold();

  auto watchers = rig.watch_all(20);
  std::size_t most = 0;
  do {
    most = std::max(most, rig.workers.queued());
  } while (rig.workers.run_one());

  CHECK(most == 3);
  CHECK(rig.ca.signs() == 20);
}

TEST_CASE("an identity without an SVID goes before renewals") {
  Rig rig(4, {.policy = {}, .max_in_flight = 1});
  auto holders = rig.watch_all(3);
  rig.workers.hold();
  rig.clock.advance(minutes(31));

  auto newcomer = rig.watch(3);
  rig.workers.run_one();  // the refresh of the bundle
  rig.workers.run_one();  // the renewal that was in flight
  rig.workers.run_one();

  CHECK(newcomer->now().svids.size() == 1);
  CHECK(rig.ca.signs() == 5);
}

TEST_CASE("a renewal comes at half of the life and brings a new serial and key") {
  Rig rig;
  auto watcher = rig.watch(0);
  SvidPtr before = rig.store.svid("e0");

  CHECK(rig.rotator.next_renewal("e0") == rig.clock.now() + minutes(30));
  rig.clock.advance(minutes(30));

  SvidPtr after = rig.store.svid("e0");
  CHECK(rig.ca.signs() == 2);
  CHECK(after->leaf().serial() != before->leaf().serial());
  CHECK(after->key().pkcs8_der() != before->key().pkcs8_der());
  CHECK(watcher->updates.size() == 1);
  CHECK(watcher->serial() == after->leaf().serial());
}

TEST_CASE("a failed renewal keeps serving the old certificate") {
  Rig rig;
  auto watcher = rig.watch(0);
  std::string serial = watcher->serial();

  rig.ca.fail_with(Code::kUnavailable);
  rig.clock.advance(minutes(31));

  CHECK(watcher->serial() == serial);
  CHECK(watcher->updates.empty());
  CHECK(rig.rotator.failures("e0") > 0);
  CHECK(rig.rotator.next_renewal("e0").value() < rig.clock.now() + minutes(3));
  CHECK(rig.store.state("e0").failure->code == Code::kUnavailable);
  CHECK(rig.rotator.ca_last_error()->code == Code::kUnavailable);
}

TEST_CASE("with the CA down past the renewal, new callers still get the valid SVID") {
  Rig rig;
  auto watcher = rig.watch(0);
  rig.ca.fail_with(Code::kUnavailable);
  rig.clock.advance(minutes(59));

  auto newcomer = rig.watch(0);

  CHECK(newcomer->serial() == watcher->serial());
  CHECK(newcomer->now().settled);
}

TEST_CASE("an SVID that could not be renewed is withdrawn when it ends, not before") {
  Rig rig;
  auto watcher = rig.watch(0);
  rig.ca.fail_with(Code::kUnavailable);

  rig.clock.advance(hours(1));
  CHECK(watcher->now().svids.size() == 1);
  rig.clock.advance(milliseconds(1));

  CHECK(watcher->now().svids.empty());
  REQUIRE(watcher->now().missing);
  CHECK(watcher->now().missing->code == Code::kUnavailable);
  rig.ca.recover();
  rig.clock.advance(seconds(10));
  CHECK(watcher->now().svids.size() == 1);
}

TEST_CASE("one failing identity of a thousand delays no other") {
  Rig rig(1000);
  rig.ca.refuse(kZero);

  auto watchers = rig.watch_all(1000);
  rig.clock.advance(minutes(29));
  std::size_t failed = rig.ca.signs_for(kZero);
  rig.clock.advance(minutes(2));

  CHECK(rig.ca.signs() - rig.ca.signs_for(kZero) == 2 * 999);
  CHECK(std::all_of(watchers.begin() + 1, watchers.end(),
                    [](const auto& watcher) { return watcher->updates.size() == 1; }));
  CHECK(watchers[0]->now().missing->code == Code::kPermissionDenied);
  CHECK(failed > 29 * 6 / 2);
  CHECK(failed < 29 * 60);
}

TEST_CASE("a forced rotation gives a new serial at once") {
  Rig rig;
  auto watcher = rig.watch(0);
  std::string old_serial = watcher->serial();
  rig.clock.advance(minutes(10));

  auto outcome = rig.rotate(0);

  REQUIRE(*outcome);
  CHECK((*outcome)->before->leaf().serial() == old_serial);
  CHECK((*outcome)->fresh->leaf().serial() == watcher->serial());
  CHECK(watcher->serial() != old_serial);
  CHECK(rig.rotator.next_renewal("e0") == rig.clock.now() + minutes(30));
}

TEST_CASE("a thousand forced rotations of one identity cost one issue") {
  Rig rig(2, {.policy = {}, .max_in_flight = 1});
  auto watchers = rig.watch_all(2);
  rig.workers.hold();
  auto busy = rig.rotate(1);

  std::array<std::shared_ptr<std::optional<RotationOutcome>>, 1000> outcomes;
  for (auto& outcome : outcomes) outcome = rig.rotate(0);
  rig.workers.release();

  CHECK(rig.ca.signs_for(kZero) == 2);
  for (const auto& outcome : outcomes) {
    REQUIRE(*outcome);
    CHECK((*outcome)->fresh == rig.store.svid("e0"));
  }
}

TEST_CASE("a forced rotation that fails says why and harms nothing") {
  Rig rig;
  auto watcher = rig.watch(0);
  std::string serial = watcher->serial();
  rig.ca.fail_with(Code::kUnavailable);

  auto outcome = rig.rotate(0);

  REQUIRE(*outcome);
  CHECK((*outcome)->fresh == nullptr);
  CHECK((*outcome)->error->code == Code::kUnavailable);
  CHECK(watcher->serial() == serial);
}

TEST_CASE("what nobody wants and nothing is held of cannot be rotated") {
  Rig rig;

  auto unused = rig.rotate(0);
  auto unknown = rig.rotate(7);

  CHECK((*unused)->error->code == Code::kNotFound);
  CHECK((*unknown)->error->code == Code::kNotFound);
  CHECK(rig.ca.signs() == 0);
}

TEST_CASE("an identity can be rotated within its grace") {
  Rig rig;
  rig.watch(0)->leave();

  auto outcome = rig.rotate(0);

  REQUIRE(*outcome);
  CHECK((*outcome)->fresh);
  CHECK(rig.ca.signs() == 2);
}

TEST_CASE("an unwanted identity is kept for the grace and then forgotten") {
  Rig rig;
  auto watcher = rig.watch(0);

  watcher->leave();
  rig.clock.advance(seconds(59));
  CHECK(rig.store.svid("e0"));
  rig.clock.advance(seconds(1));

  CHECK(rig.store.svid("e0") == nullptr);
  CHECK_FALSE(rig.rotator.next_renewal("e0"));
  rig.clock.advance(hours(2));
  CHECK(rig.ca.signs() == 1);
}

TEST_CASE("who comes back within the grace gets the SVID held, without a new issue") {
  Rig rig;
  auto watcher = rig.watch(0);
  std::string serial = watcher->serial();
  watcher->leave();
  rig.clock.advance(seconds(30));

  auto again = rig.watch(0);
  rig.clock.advance(minutes(5));

  CHECK(again->serial() == serial);
  CHECK(rig.ca.signs() == 1);
}

TEST_CASE("a renewal that falls due in the grace waits for somebody to want it") {
  Rig rig;
  auto watcher = rig.watch(0);
  rig.clock.advance(minutes(30) - seconds(10));
  watcher->leave();

  rig.clock.advance(seconds(20));
  CHECK(rig.ca.signs() == 1);
  auto again = rig.watch(0);

  CHECK(rig.ca.signs() == 2);
  CHECK(again->serial() == rig.store.svid("e0")->leaf().serial());
}

TEST_CASE("an issue still queued is dropped when its last caller leaves") {
  Rig rig(2, {.policy = {}, .max_in_flight = 1});
  rig.workers.hold();
  auto first = rig.watch(0);
  auto second = rig.watch(1);

  second->leave();
  rig.workers.release();

  CHECK(rig.ca.signs() == 1);
  auto again = rig.watch(1);
  CHECK(again->now().svids.size() == 1);
}

TEST_CASE("an issue that outlasts the grace is not evicted under way") {
  Rig rig;
  rig.workers.hold();
  auto watcher = rig.watch(0);
  watcher->leave();

  rig.clock.advance(minutes(5));
  auto outcome = rig.rotate(0);
  CHECK((*outcome)->error->code == Code::kNotFound);
  rig.workers.release();
  rig.clock.advance(milliseconds(1));

  CHECK(rig.store.svid("e0") == nullptr);
  CHECK_FALSE(rig.rotator.in_flight("e0"));
}

TEST_CASE("an answer for another identity is never published") {
  Rig rig;
  rig.ca.answer_with_id("spiffe://td/admin");

  auto watcher = rig.watch(0);
  rig.clock.advance(minutes(5));

  CHECK(watcher->now().svids.empty());
  REQUIRE(watcher->now().missing);
  CHECK(watcher->now().missing->message.find("spiffe://td/admin") != std::string::npos);
  for (const UpdatePtr& update : watcher->updates) CHECK(update->svids.empty());
}

TEST_CASE("an answer that is expired already is never published") {
  Rig rig;
  rig.ca.shorten_life(-minutes(1));
  rig.ca.start_life_at(-hours(1));

  auto watcher = rig.watch(0);

  CHECK(watcher->now().svids.empty());
  CHECK(watcher->now().missing);
}

TEST_CASE("a leaf of a root that the CA does not tell is never published") {
  Rig rig;
  auto watcher = rig.watch(0);
  std::string serial = watcher->serial();
  rig.ca.hide_new_roots();
  rig.ca.change_root();

  auto outcome = rig.rotate(0);
  rig.clock.advance(minutes(5));

  CHECK((*outcome)->error);
  CHECK(watcher->serial() == serial);
  CHECK(rig.store.bundle()->roots().size() == 1);
}

TEST_CASE("a new root reaches watchers before the first leaf of it, and beside the old one") {
  Rig rig(2);
  auto watcher = rig.watch(0);
  auto other = rig.watch(1);
  SvidPtr old_svid = rig.store.svid("e0");
  Certificate old_root = rig.ca.root();
  rig.ca.change_root();

  rig.rotate(0);

  std::vector both{rig.ca.root(), old_root};
  REQUIRE(watcher->updates.size() == 2);
  CHECK(watcher->updates[0]->bundle->roots() == both);
  CHECK(watcher->updates[0]->svids.front().svid == old_svid);
  CHECK(watcher->updates[1]->svids.front().svid != old_svid);
  REQUIRE(other->updates.size() == 1);
  CHECK(other->updates[0]->bundle->roots() == both);
}

TEST_CASE("a leaf whose root was withdrawn while it was issued is not published") {
  Rig rig;
  auto watcher = rig.watch(0);
  watcher->leave();
  rig.ca.start_life_at(seconds(30));
  rig.clock.advance(minutes(2));
  watcher = rig.watch(0);

  rig.ca.change_root();
  rig.store.set_bundle(std::make_shared<const TrustBundle>(rig.ca.bundle().value()));
  rig.ca.fail_with(Code::kUnavailable);
  rig.clock.advance(seconds(40));

  CHECK(watcher->now().svids.empty());
  CHECK(watcher->now().missing);
}

TEST_CASE("an SVID that is not valid yet is held back until it is") {
  Rig rig(2, {.policy = {}, .max_in_flight = 1});
  rig.ca.start_life_at(seconds(30));

  auto watchers = rig.watch_all(2);
  rig.clock.advance(seconds(29));
  CHECK(watchers[0]->now().svids.empty());
  CHECK_FALSE(watchers[0]->now().settled);
  rig.clock.advance(seconds(1));

  CHECK(watchers[0]->now().svids.size() == 1);
  CHECK(watchers[1]->now().svids.size() == 1);
  CHECK(rig.ca.signs() == 2);
}

TEST_CASE("a renewal that is not valid yet leaves the old SVID in place") {
  Rig rig;
  auto watcher = rig.watch(0);
  std::string serial = watcher->serial();
  rig.ca.start_life_at(seconds(30));

  auto outcome = rig.rotate(0);
  rig.clock.advance(seconds(29));
  CHECK(watcher->serial() == serial);
  CHECK_FALSE(*outcome);
  rig.clock.advance(seconds(1));

  CHECK(watcher->serial() != serial);
  CHECK(*outcome);
}

TEST_CASE("a year of rotation has the expected count and never a gap") {
  Entry entry = make_entry(0);
  entry.ttl = hours(24);
  Rig rig(EntrySet(std::vector{entry}), {.policy = {}, .bundle_refresh = hours(24)},
          random_jitter());
  auto watcher = rig.watch(0);
  Time end = rig.clock.now() + days(365);

  int gaps = 0;
  while (rig.clock.now() < end) {
    rig.clock.advance(hours(1));
    bool is_served = !watcher->now().svids.empty() &&
                     watcher->now().svids.front().svid->validity().contains(rig.clock.now());
    if (!is_served) ++gaps;
  }

  CHECK(gaps == 0);
  CHECK(rig.ca.signs() > 715);
  CHECK(rig.ca.signs() < 745);
  CHECK(watcher->updates.size() == rig.ca.signs() - 1);
}

TEST_CASE("a jump of three days drops what expired and renews at once") {
  Rig rig(20);
  auto watchers = rig.watch_all(20);

  rig.clock.jump(rig.clock.now() + days(3));

  CHECK(rig.ca.signs() == 40);
  for (const auto& watcher : watchers) {
    REQUIRE(watcher->now().svids.size() == 1);
    CHECK(watcher->now().svids.front().svid->validity().contains(rig.clock.now()));
    CHECK(watcher->updates.front()->svids.empty());
  }
}

TEST_CASE("after a jump forward with the CA down nothing expired is left to be served") {
  Rig rig;
  auto watcher = rig.watch(0);
  rig.ca.fail_with(Code::kUnavailable);

  rig.clock.jump(rig.clock.now() + days(3));

  CHECK(watcher->now().svids.empty());
  CHECK(rig.store.svid("e0") == nullptr);
  rig.ca.recover();
  rig.clock.advance(seconds(10));
  CHECK(watcher->now().svids.size() == 1);
}

TEST_CASE("a jump back causes no storm") {
  Rig rig(50);
  auto watchers = rig.watch_all(50);
  rig.clock.advance(minutes(20));

  rig.clock.jump(rig.clock.now() - minutes(15));
  auto newcomer = rig.watch(0);
  rig.clock.advance(minutes(20));
  CHECK(rig.ca.signs() == 50);
  rig.clock.jump(rig.clock.now() - days(30));
  auto another = rig.watch(0);
  rig.clock.advance(minutes(20));

  CHECK(rig.ca.signs() == 100);
}

TEST_CASE("a clock that swings by two seconds causes no issue") {
  Rig rig(10);
  auto watchers = rig.watch_all(10);

  for (int i = 0; i < 200; ++i) {
    rig.clock.jump(rig.clock.now() + seconds(i % 2 == 0 ? -2 : 2));
    CHECK(rig.watch(i % 10)->now().svids.size() == 1);
  }

  CHECK(rig.ca.signs() == 10);
}

TEST_CASE("retries planned by a clock that ran ahead do not wait for it") {
  Rig rig;
  rig.ca.fail_with(Code::kUnavailable);
  auto watcher = rig.watch(0);
  rig.clock.advance(minutes(1));

  rig.clock.jump(rig.clock.now() - hours(2));
  rig.ca.recover();
  auto newcomer = rig.watch(0);
  rig.clock.advance(milliseconds(1));

  CHECK(newcomer->now().svids.size() == 1);
}

TEST_CASE("an SVID held back by a clock that was then set back is issued anew") {
  Rig rig;
  rig.ca.start_life_at(seconds(30));
  auto watcher = rig.watch(0);

  rig.clock.jump(rig.clock.now() - hours(2));
  rig.ca.start_life_at(seconds(0));
  auto newcomer = rig.watch(0);
  rig.clock.advance(milliseconds(1));

  CHECK(newcomer->now().svids.size() == 1);
  CHECK(rig.ca.signs() == 2);
}

TEST_CASE("nothing is issued, and no failure remembered, before the clock is set") {
  Rig rig;
  rig.clock.jump(Time{});

  auto watcher = rig.watch(0);
  rig.clock.advance(hours(1));
  CHECK(rig.ca.signs() == 0);
  CHECK_FALSE(watcher->now().settled);
  rig.clock.jump(Time{std::chrono::sys_days{std::chrono::year{2026} / 7 / 1}});

  CHECK(rig.ca.signs() == 1);
  CHECK(watcher->now().svids.size() == 1);
}

TEST_CASE("a CA that gives very short lives is not asked without pause") {
  Rig rig;
  rig.ca.shorten_life(seconds(1));

  auto watcher = rig.watch(0);
  rig.clock.advance(minutes(1));

  CHECK(rig.ca.signs() > 10);
  CHECK(rig.ca.signs() <= 121);
}

TEST_CASE("a rotator that ends leaves its jobs harmless") {
  FakeClock clock;
  InlineWorkers workers;
  FakeCa ca(clock);
  IdentityStore store(clock, make_entries(1));
  auto rotator =
      std::make_unique<Rotator>(clock, workers, ca, store, Rotator::Options{}, [] { return 0.5; });
  store.set_demand(rotator.get());
  rotator->start();
  workers.hold();
  Watcher watcher(store, 0);
  bool is_done = false;
  rotator->rotate("e0", [&](const RotationOutcome&) { is_done = true; });

  store.set_demand(nullptr);
  rotator.reset();
  workers.release();
  clock.advance(hours(1));

  CHECK(ca.signs() == 1);
  CHECK_FALSE(is_done);
  CHECK(watcher.now().svids.empty());
}

TEST_CASE("an outage of 40% of the life expires nothing, and recovery is spread out") {
  Rig rig(100, {}, random_jitter());
  auto watchers = rig.watch_all(100);
  rig.clock.advance(minutes(25));
  rig.ca.fail_with(Code::kUnavailable);
  rig.clock.advance(minutes(24));
  std::size_t tries = rig.ca.signs();
  rig.ca.recover();

  std::size_t renewed = 0;
  std::size_t most_in_a_second = 0;
  for (int second = 0; second < 11 * 60; ++second) {
    rig.clock.advance(seconds(1));
    std::size_t now_renewed = rig.ca.signs() - tries;
    most_in_a_second = std::max(most_in_a_second, now_renewed - renewed);
    renewed = now_renewed;
  }

  CHECK(renewed == 100);
  CHECK(most_in_a_second < 20);
  for (const auto& watcher : watchers) {
    CHECK(watcher->updates.size() == 1);
    CHECK(watcher->now().svids.size() == 1);
  }
}

}  // namespace
}  // namespace nodepilot
