#include "rotation/rotator.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>

#include "test/rotation/rig.h"

namespace nodepilot {
namespace {

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

TEST_CASE("a CA's failure is forgotten with the last that it kept from an SVID") {
  Rig rig(2);
  rig.ca.refuse("spiffe://td/0");
  rig.ca.refuse("spiffe://td/1");
  auto first = rig.watch(0);
  auto second = rig.watch(1);

  first->leave();
  rig.clock.advance(minutes(2));
  CHECK(rig.rotator.ca_last_error());
  second->leave();
  rig.clock.advance(minutes(2));

  CHECK_FALSE(rig.rotator.ca_last_error());
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
  rig.clock.advance(minutes(25));
  CHECK(rig.ca.signs() == 2);
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
  Rig rig(2);
  auto neighbour = rig.watch(1);
  rig.workers.hold();
  auto watcher = rig.watch(0);
  watcher->leave();

  rig.clock.advance(minutes(31));
  auto outcome = rig.rotate(0);
  CHECK((*outcome)->error->code == Code::kNotFound);
  rig.workers.release();
  rig.clock.advance(milliseconds(1));

  CHECK(rig.store.svid("e0") == nullptr);
  CHECK_FALSE(rig.rotator.in_flight("e0"));
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

}  // namespace
}  // namespace nodepilot
