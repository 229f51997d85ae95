// Clocks that jump, swing, stop and start at nothing.
#include <doctest/doctest.h>

#include "rotation/pki/issuer.h"
#include "test/rotation/rig.h"

namespace nodepilot {
namespace {

using std::chrono::days;

bool shows_only_valid(const Watcher& watcher, Time now) {
  for (const HeldSvid& held : watcher.now().svids) {
    if (!held.svid->validity().contains(now)) return false;
  }
  return true;
}

TEST_CASE("fault 71: a step forward withholds what has expired and renews at once") {
  for (Duration step : {Duration(hours(1)), Duration(days(30))}) {
    CAPTURE(step.count());
    Rig rig(20);
    auto watchers = rig.watch_all(20);

    rig.clock.jump(rig.clock.now() + step + seconds(1));

    for (const auto& watcher : watchers) {
      CHECK(watcher->updates.front()->svids.empty());
      CHECK(watcher->now().svids.size() == 1);
      CHECK(shows_only_valid(*watcher, rig.clock.now()));
    }
    CHECK(rig.ca.signs() == 40);
  }
}

TEST_CASE("fault 72: a step back shows nothing that is not valid yet, and is no storm") {
  for (Duration step : {Duration(hours(1)), Duration(days(30))}) {
    CAPTURE(step.count());
    Rig rig(50);
    auto watchers = rig.watch_all(50);

    rig.clock.jump(rig.clock.now() - step);
    rig.clock.advance(minutes(10));

    for (const auto& watcher : watchers) {
      CHECK(watcher->now().svids.size() == 1);
      CHECK(shows_only_valid(*watcher, rig.clock.now()));
    }
    CHECK(rig.ca.signs() == 100);
  }
}

TEST_CASE("fault 73: a clock that swings by two seconds rotates nothing") {
  Rig rig(10);
  auto watchers = rig.watch_all(10);

  for (int second = 0; second < 600; ++second) {
    rig.clock.jump(rig.clock.now() + seconds(second % 2 == 0 ? -2 : 2));
    for (const auto& watcher : watchers) CHECK(watcher->now().svids.size() == 1);
  }

  CHECK(rig.ca.signs() == 10);
}

TEST_CASE(
    "fault 74: after a suspend of three days the first good SVID comes within 10 s of the CA") {
  Rig rig;
  auto watcher = rig.watch(0);
  rig.ca.fail_with(Code::kUnavailable);

  rig.clock.jump(rig.clock.now() + days(3));
  rig.clock.advance(hours(2));
  CHECK(watcher->now().svids.empty());
  rig.ca.recover();
  rig.clock.advance(seconds(10));

  CHECK(watcher->now().svids.size() == 1);
}

TEST_CASE("fault 75: before the clock is set nothing is issued, and no failure is remembered") {
  FakeClock clock;
  InlineWorkers workers;
  FakeCa ca(clock);
  clock.jump(Time{});
  IdentityStore store(clock, make_entries(1));
  Rotator rotator(clock, workers, ca, store, {}, [] { return 0.5; });
  store.set_demand(&rotator);
  rotator.start();
  Watcher watcher(store, 0);
  clock.advance(minutes(5));
  CHECK(ca.signs() == 0);
  CHECK_FALSE(watcher.now().missing);

  clock.jump(Time{std::chrono::sys_days{std::chrono::year{2026} / 7 / 1}});

  CHECK(watcher.now().svids.size() == 1);
  CHECK(rotator.failures("e0") == 0);
}

TEST_CASE("fault 76: ends in 2038, 2106 and 9999 are planned for without overflow") {
  for (int year : {2038, 2106, 9999}) {
    CAPTURE(year);
    Time end{std::chrono::sys_days{std::chrono::year{year} / 12 / 31}};
    Entry entry = make_entry(0);  // what is asked for is never too long
    entry.ttl = std::chrono::floor<seconds>(end - FakeClock().now());
    Rig rig(EntrySet(std::vector{entry}), {}, [] { return 0.5; });

    auto watcher = rig.watch(0);

    REQUIRE(watcher->now().svids.size() == 1);
    CHECK(watcher->now().svids.front().svid->validity().not_after == end);
    Time renewal = *rig.rotator.next_renewal("e0");
    CHECK(renewal > rig.clock.now() + (end - rig.clock.now()) / 3);
    CHECK(renewal < end);
  }
}

}  // namespace
}  // namespace nodepilot
