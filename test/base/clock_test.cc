#include "agent/base/clock.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace nodepilot;
using namespace std::chrono_literals;

TEST_CASE("a fake clock stands still until it is told to move") {
  FakeClock clock;
  Time start = clock.now();

  CHECK(clock.now() == start);
  clock.advance(90s);
  CHECK(clock.now() == start + 90s);
}

TEST_CASE("an alarm fires once, at the time it was set for") {
  FakeClock clock;
  std::vector<Time> fired;
  Alarm alarm(clock, [&] { fired.push_back(clock.now()); });
  Time when = clock.now() + 10s;
  alarm.set(when);

  clock.advance(9999ms);
  CHECK(fired.empty());
  CHECK(alarm.is_set());

  clock.advance(1h);
  CHECK(fired == std::vector<Time>{when});
  CHECK_FALSE(alarm.is_set());
}

TEST_CASE("alarms fire in the order of their times, and equal ones in the order they were set") {
  FakeClock clock;
  std::string order;
  Alarm a(clock, [&] { order += 'a'; });
  Alarm b(clock, [&] { order += 'b'; });
  Alarm c(clock, [&] { order += 'c'; });
  a.set(clock.now() + 3s);
  b.set(clock.now() + 1s);
  c.set(clock.now() + 3s);

  clock.advance(5s);

  CHECK(order == "bac");
}

TEST_CASE("setting an alarm again replaces its earlier time") {
  FakeClock clock;
  int fired = 0;
  Alarm alarm(clock, [&] { ++fired; });
  alarm.set(clock.now() + 1s);
  alarm.set(clock.now() + 5s);

  clock.advance(4s);
  CHECK(fired == 0);
  clock.advance(4s);
  CHECK(fired == 1);
}

TEST_CASE("a cleared or destroyed alarm does not fire") {
  FakeClock clock;
  int fired = 0;
  Alarm cleared(clock, [&] { ++fired; });
  auto destroyed = std::make_unique<Alarm>(clock, [&] { ++fired; });
  cleared.set(clock.now() + 1s);
  destroyed->set(clock.now() + 1s);

  cleared.clear();
  destroyed.reset();
  clock.advance(1h);

  CHECK_FALSE(cleared.is_set());
  CHECK(fired == 0);
}

TEST_CASE("an alarm that sets itself again in its handler fires at every such time") {
  FakeClock clock;
  std::vector<Duration> fired;
  Time start = clock.now();
  std::unique_ptr<Alarm> alarm;
  alarm = std::make_unique<Alarm>(clock, [&] {
    fired.push_back(clock.now() - start);
    alarm->set(clock.now() + 10s);
  });
  alarm->set(start + 10s);

  clock.advance(35s);

  CHECK(fired == std::vector<Duration>{10s, 20s, 30s});
  CHECK(clock.now() == start + 35s);
}

TEST_CASE("an alarm may be destroyed by its own handler") {
  FakeClock clock;
  int fired = 0;
  std::unique_ptr<Alarm> alarm;
  // Longer than what std::function stores inside itself, so that a freed capture is noticed.
  std::string text(100, 'x');
  alarm = std::make_unique<Alarm>(clock, [&fired, &alarm, text] {
    alarm.reset();
    fired += static_cast<int>(text.size());
  });
  alarm->set(clock.now() + 1s);

  clock.advance(1h);

  CHECK(fired == 100);
}

TEST_CASE("an alarm that another handler destroys or clears does not fire, though it is due") {
  FakeClock clock;
  std::string order;
  auto destroyed = std::make_unique<Alarm>(clock, [&] { order += 'd'; });
  Alarm cleared(clock, [&] { order += 'c'; });
  Alarm first(clock, [&] {
    order += 'f';
    destroyed.reset();
    cleared.clear();
  });
  first.set(clock.now() + 1s);
  destroyed->set(clock.now() + 1s);
  cleared.set(clock.now() + 2s);

  clock.jump(clock.now() + 1h);

  CHECK(order == "f");
}

TEST_CASE("a clock step fires what is due, earliest first, at the new time") {
  FakeClock clock;
  Time to = clock.now() + 72h;
  std::vector<Time> seen;
  std::string order;
  Alarm late(clock, [&] { order += 'l', seen.push_back(clock.now()); });
  Alarm early(clock, [&] { order += 'e', seen.push_back(clock.now()); });
  Alarm future(clock, [&] { order += '!'; });
  late.set(clock.now() + 2h);
  early.set(clock.now() + 1h);
  future.set(to + 1ms);

  clock.jump(to);

  CHECK(order == "el");
  CHECK(seen == std::vector<Time>{to, to});
  CHECK(future.is_set());
}

TEST_CASE("a step back fires nothing and keeps the alarms") {
  FakeClock clock;
  int fired = 0;
  Alarm alarm(clock, [&] { ++fired; });
  alarm.set(clock.now() + 1h);

  clock.jump(clock.now() - 24h);
  CHECK(fired == 0);
  clock.advance(25h);
  CHECK(fired == 1);
}

TEST_CASE("who listens hears of a step before the alarms that it makes due") {
  FakeClock clock;
  std::string order;
  Alarm alarm(clock, [&] { order += "a"; });
  auto handle = clock.on_step([&] { order += "s"; });
  alarm.set(clock.now() + 1h);

  clock.jump(clock.now() + 2h);
  clock.jump(clock.now() - 2h);
  CHECK(order == "sas");
  handle.reset();
  clock.jump(clock.now() + 2h);

  CHECK(order == "sas");
}

TEST_CASE("a time that has passed fires later, not inside set()") {
  FakeClock clock;
  int fired = 0;
  Alarm alarm(clock, [&] { ++fired; });

  alarm.set(clock.now() - 1h);

  CHECK(fired == 0);
  clock.advance(0s);
  CHECK(fired == 1);
}
