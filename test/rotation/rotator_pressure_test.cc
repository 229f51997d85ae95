// More to issue than the CA may be asked for, and callers who come while it fails.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "test/rotation/rig.h"

namespace nodepilot {
namespace {

Jitter random_jitter() {
  return [engine = std::mt19937_64(11)]() mutable {
    return std::uniform_real_distribution<double>()(engine);
  };
}

// The most that the CA saw in any second of `span`.
std::size_t peak_rate(Rig& rig, Duration span) {
  std::vector<std::size_t> signs{rig.ca.signs()};
  for (Duration step{0}; step < span; step += milliseconds(100)) {
    rig.clock.advance(milliseconds(100));
    signs.push_back(rig.ca.signs());
  }
  std::size_t peak = 0;
  for (std::size_t i = 10; i < signs.size(); ++i) peak = std::max(peak, signs[i] - signs[i - 10]);
  return peak;
}

// A caller for whom the CA has just failed again; the next try is nearly ten seconds away.
std::unique_ptr<Watcher> fail_for_a_while(Rig& rig) {
  rig.ca.fail_with(Code::kUnavailable);
  auto watcher = rig.watch(0);
  rig.clock.advance(minutes(1));
  rig.clock.advance(*rig.rotator.next_renewal("e0") - rig.clock.now());
  REQUIRE(*rig.rotator.next_renewal("e0") > rig.clock.now() + seconds(9));
  return watcher;
}

TEST_CASE("the CA sees no more than the rate, and everybody is served in the end") {
  Rig rig(100, {.policy = {}, .max_rate = 20});

  auto watchers = rig.watch_all(100);
  CHECK(rig.ca.signs() == 1);
  CHECK(peak_rate(rig, seconds(5)) <= 20);

  CHECK(rig.ca.signs() == 100);
}

TEST_CASE("a rate above the alarm's coarseness is reached") {
  Rig rig(1000, {.policy = {}, .max_rate = 5000});

  auto watchers = rig.watch_all(1000);
  rig.clock.advance(milliseconds(250));

  CHECK(rig.ca.signs() == 1000);
}

TEST_CASE("with a rate, who waits for the bundle does not keep the alarm ringing") {
  FakeClock clock;
  InlineWorkers workers;
  FakeCa ca{clock};
  ca.fail_with(Code::kUnavailable);
  IdentityStore store(clock, make_entries(1));
  Rotator rotator(clock, workers, ca, store, {.policy = {}, .max_rate = 20}, [] { return 0.5; });
  store.set_demand(&rotator);
  rotator.start();

  Watcher watcher(store, 0);
  clock.advance(seconds(1));  // never ends while one alarm sets the next for the same instant
  CHECK(ca.signs() == 0);
  ca.recover();
  clock.advance(seconds(10));

  CHECK(watcher.now().svids.size() == 1);
}

TEST_CASE("a clock set back does not stop the issues of a rate") {
  Rig rig(3, {.policy = {}, .max_rate = 1});
  auto watchers = rig.watch_all(3);

  rig.clock.jump(rig.clock.now() - hours(5));
  rig.clock.advance(seconds(4));

  for (const auto& watcher : watchers) CHECK(watcher->now().svids.size() == 1);
}

TEST_CASE("who has nothing goes before every renewal, then what ends soonest") {
  std::vector<Entry> entries{make_entry(0), make_entry(1), make_entry(2)};
  entries[0].ttl = hours(10);
  Rig rig(EntrySet(entries), {.policy = {}, .max_rate = 1}, [] { return 0.5; });
  auto long_lived = rig.watch(0);
  rig.clock.advance(seconds(1));
  auto short_lived = rig.watch(1);
  rig.clock.advance(seconds(10));
  std::string before = long_lived->serial();
  rig.workers.hold();
  rig.rotate(0);  // takes the token of this second

  auto forced = rig.rotate(1);
  auto newcomer = rig.watch(2);
  rig.workers.release();
  rig.clock.advance(seconds(1));

  CHECK(long_lived->serial() != before);
  CHECK(newcomer->now().svids.size() == 1);
  CHECK_FALSE(forced->has_value());
  rig.clock.advance(seconds(1));
  CHECK(forced->has_value());
}

TEST_CASE("a forced rotation waits behind what ends within a minute, and before the rest") {
  std::vector<Entry> entries{make_entry(0), make_entry(1), make_entry(2), make_entry(3)};
  entries[1].ttl = seconds(40);
  Rig rig(EntrySet(entries), {.policy = {}, .max_in_flight = 1}, [] { return 0.5; });
  auto watchers = rig.watch_all(4);
  rig.workers.hold();
  auto first = rig.rotate(3);
  rig.clock.advance(seconds(20));  // entry 1 is due

  auto forced = rig.rotate(0);
  rig.workers.run_one();
  rig.workers.run_one();

  CHECK(first->has_value());
  CHECK(rig.ca.signs_for("spiffe://td/1") == 2);
  CHECK_FALSE(forced->has_value());
  rig.workers.release();
  CHECK(forced->has_value());
}

TEST_CASE("a prefetched identity is issued and renewed though nobody asks") {
  std::vector<Entry> entries{make_entry(0), make_entry(1)};
  entries[0].prefetch = true;
  Rig rig(EntrySet(entries), {}, [] { return 0.5; });

  CHECK(rig.store.is_supplied("e0"));
  CHECK_FALSE(rig.store.is_supplied("e1"));
  rig.watch(0)->leave();
  rig.clock.advance(hours(3));

  CHECK(rig.store.is_supplied("e0"));
  CHECK(rig.ca.signs_for("spiffe://td/0") > 5);
}

TEST_CASE("a caller who comes two seconds after a failure makes the CA be asked again") {
  Rig rig(1, {}, [] { return 0.99; });
  auto first = fail_for_a_while(rig);
  rig.ca.recover();
  rig.clock.advance(milliseconds(2100));

  auto caller = rig.watch(0);

  CHECK(caller->now().svids.size() == 1);
  CHECK(first->now().svids.size() == 1);
}

TEST_CASE("within two seconds of a failure it is the answer, and the CA is left alone") {
  Rig rig(1, {}, [] { return 0.99; });
  auto first = fail_for_a_while(rig);
  std::size_t signs = rig.ca.signs();

  auto caller = rig.watch(0);
  CHECK(caller->now().settled);
  CHECK(caller->now().missing);
  CHECK(rig.ca.signs() == signs);
  rig.clock.advance(seconds(2));

  CHECK(rig.ca.signs() == signs + 1);
}

TEST_CASE("a caller who makes the CA be asked again waits for that answer") {
  Rig rig(1, {}, [] { return 0.99; });
  auto first = fail_for_a_while(rig);
  rig.clock.advance(milliseconds(2100));
  rig.workers.hold();

  auto caller = rig.watch(0);

  CHECK_FALSE(caller->now().settled);
  rig.ca.recover();
  rig.workers.release();
  CHECK(caller->now().svids.size() == 1);
}

TEST_CASE("an identity that is tried again does not keep a caller from the others") {
  Rig rig(2, {}, [] { return 0.99; });
  const Selectors both{Watcher::selector(0), Watcher::selector(1)};
  rig.ca.refuse("spiffe://td/1");
  Watcher first(rig.store, both);
  rig.clock.advance(minutes(1));
  rig.clock.advance(*rig.rotator.next_renewal("e1") - rig.clock.now() + milliseconds(2100));
  rig.workers.hold();  // the CA hangs

  Watcher caller(rig.store, both);

  CHECK(rig.workers.queued() == 1);
  CHECK(caller.now().settled);
  CHECK(caller.now().svids.size() == 1);
  CHECK(caller.now().missing);
}

TEST_CASE("when the CA is back, everybody is renewed within a minute and within the rate") {
  Rig rig(1000, {.policy = {}, .max_rate = 50}, random_jitter());
  auto watchers = rig.watch_all(1000);
  rig.clock.advance(minutes(26));
  rig.ca.fail_with(Code::kUnavailable);
  rig.clock.advance(minutes(24));
  std::size_t tries = rig.ca.signs();
  rig.ca.recover();

  CHECK(peak_rate(rig, minutes(1)) <= 50);

  CHECK(rig.ca.signs() - tries >= 1000);
  for (const auto& watcher : watchers) {
    REQUIRE(watcher->now().svids.size() == 1);
    CHECK(watcher->now().svids.front().svid->validity().not_after > rig.clock.now() + minutes(50));
  }
}

TEST_CASE("an identity that the CA refuses gains nothing by the recovery of others") {
  Rig rig(2, {}, [] { return 0.99; });
  rig.ca.refuse("spiffe://td/1");
  auto watchers = rig.watch_all(2);
  rig.clock.advance(minutes(1));
  Time planned = *rig.rotator.next_renewal("e1");

  rig.rotate(0);

  CHECK(rig.rotator.next_renewal("e1") == planned);
}

}  // namespace
}  // namespace nodepilot
