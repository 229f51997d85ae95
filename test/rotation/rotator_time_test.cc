// Rotation over long times, clock steps and outages.
#include "rotation/rotator.h"

#include <doctest/doctest.h>

#include <algorithm>
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

TEST_CASE("a step back is answered at once, not at the next demand or alarm") {
  Rig rig;
  auto watcher = rig.watch(0);
  std::string future = watcher->serial();

  rig.clock.jump(rig.clock.now() - days(30));

  CHECK(rig.ca.signs() == 2);
  CHECK(watcher->serial() != future);
  CHECK(watcher->now().svids.front().svid->validity().contains(rig.clock.now()));
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

  rig.ca.recover();
  rig.clock.jump(rig.clock.now() - hours(2));

  CHECK(watcher->now().svids.size() == 1);
}

TEST_CASE("an SVID held back by a clock that was then set back is issued anew") {
  Rig rig;
  rig.ca.start_life_at(seconds(30));
  auto watcher = rig.watch(0);

  rig.ca.start_life_at(seconds(0));
  rig.clock.jump(rig.clock.now() - hours(2));

  CHECK(watcher->now().svids.size() == 1);
  CHECK(rig.ca.signs() == 2);
}

TEST_CASE("a grace that began on a clock running ahead does not wait for it") {
  Rig rig(2);
  rig.watch(0)->leave();

  rig.clock.jump(rig.clock.now() - hours(2));
  auto neighbour = rig.watch(1);
  rig.clock.advance(minutes(1));

  CHECK(rig.store.svid("e0") == nullptr);
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
