// What time does to an outage, and to lives that are not as they were asked for: on a clock that we
// move, with a CA in memory.
#include <doctest/doctest.h>

#include "test/rotation/rig.h"
#include "test/support/captured_log.h"

namespace nodepilot {
namespace {

TEST_CASE("fault 02: the SVID is served to its end, to new streams too, and then withdrawn") {
  Rig rig;
  auto watcher = rig.watch(0);
  const std::string serial = watcher->serial();
  const Time end = watcher->now().svids.front().svid->validity().not_after;

  rig.ca.fail_with(Code::kUnavailable);
  rig.clock.advance(end - rig.clock.now());
  auto newcomer = rig.watch(0);

  CHECK(rig.ca.signs() > 10);
  CHECK(watcher->serial() == serial);
  CHECK(newcomer->serial() == serial);
  CHECK(rig.store.state("e0").failure->message == "fake CA: told to fail");

  rig.clock.advance(seconds(1));

  CHECK(watcher->now().svids.empty());
}

TEST_CASE("fault 02: others of the same CA are renewed on time while one is refused") {
  Rig rig(2);
  auto refused = rig.watch(0);
  auto other = rig.watch(1);
  const std::string first = other->serial();

  rig.ca.refuse("spiffe://td/0");
  rig.clock.advance(minutes(34));

  CHECK(other->serial() != first);
  CHECK(rig.rotator.failures("e1") == 0);
  CHECK(rig.rotator.failures("e0") > 0);
}

TEST_CASE("fault 02: an alarm is raised once, when two of the longest waits are left") {
  Rig rig;
  auto watcher = rig.watch(0);
  CapturedLog log;

  rig.ca.fail_with(Code::kUnavailable);
  rig.clock.advance(minutes(54));
  CHECK(log.count("svid about to expire") == 0);
  rig.clock.advance(minutes(2));
  CHECK(log.count("level=error msg=\"svid about to expire\" spiffe_id=spiffe://td/0") == 1);
  rig.clock.advance(minutes(3));
  CHECK(log.count("svid about to expire") == 1);

  rig.ca.recover();
  rig.clock.advance(minutes(1));
  REQUIRE(!watcher->now().svids.empty());
  rig.ca.fail_with(Code::kUnavailable);
  rig.clock.advance(minutes(59));
  CHECK(log.count("svid about to expire") == 2);
}

TEST_CASE("fault 13: a life that is too short or too long is refused, without a loop") {
  Rig rig;
  auto watcher = rig.watch(0);
  const std::string serial = watcher->serial();
  Duration life;
  std::string why;
  SUBCASE("too short") {
    life = seconds(119);
    why = "at least 2m are wanted";
  }
  SUBCASE("too long") {
    life = hours(25);
    why = "at most 1d are allowed";
  }

  rig.ca.shorten_life(life);
  rig.clock.advance(minutes(50));

  CHECK(watcher->serial() == serial);
  CHECK(watcher->updates.empty());
  REQUIRE(rig.store.state("e0").failure);
  CHECK(rig.store.state("e0").failure->message.find(why) != std::string::npos);
  CHECK(rig.ca.signs() > 5);
  CHECK(rig.ca.signs() < 60);
}

TEST_CASE("fault 13: a life as it was asked for is good, however short or long") {
  Entry entry = make_entry(0);
  SUBCASE("seconds") { entry.ttl = seconds(5); }
  SUBCASE("weeks") { entry.ttl = hours(24) * 30; }
  Rig rig(EntrySet({entry}), {}, [] { return 0.5; });

  auto watcher = rig.watch(0);
  rig.clock.advance(entry.ttl * 3);

  CHECK(watcher->now().svids.size() == 1);
  CHECK(rig.rotator.failures("e0") == 0);
  CHECK(rig.ca.signs() < 10);
}

TEST_CASE("fault 13: half of the life that was asked for is enough") {
  Entry entry = make_entry(0);
  entry.ttl = minutes(2);
  Rig rig(EntrySet({entry}), {}, [] { return 0.5; });

  rig.ca.shorten_life(seconds(59));
  auto watcher = rig.watch(0);
  CHECK(watcher->now().svids.empty());

  rig.ca.shorten_life(seconds(61));
  rig.clock.advance(seconds(10));
  CHECK(watcher->now().svids.size() == 1);
}

}  // namespace
}  // namespace nodepilot
