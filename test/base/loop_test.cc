#include "agent/base/loop.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>

// The one unit test with real, tiny waits: its subject is the real clock.
using namespace nodepilot;
using namespace std::chrono_literals;

TEST_CASE("a posted task runs later, never inside post()") {
  Loop loop;
  std::string order;

  loop.post([&] {
    loop.post([&] {
      order += 'b';
      loop.stop();
    });
    order += 'a';
  });
  CHECK(order.empty());
  loop.run();

  CHECK(order == "ab");
}

TEST_CASE("tasks run in the order in which they were posted") {
  Loop loop;
  std::string order;
  for (char c : {'a', 'b', 'c'}) loop.post([&order, c] { order += c; });
  loop.post([&] { loop.stop(); });

  loop.run();

  CHECK(order == "abc");
}

TEST_CASE("tasks from another thread run on the loop's thread") {
  Loop loop;
  std::thread::id ran_on;
  std::thread other([&] {
    loop.post([&] {
      loop.assert_here();
      ran_on = std::this_thread::get_id();
      loop.stop();
    });
  });

  loop.run();
  other.join();

  CHECK(ran_on == std::this_thread::get_id());
}

TEST_CASE("the loop's clock tells the time of day") {
  Loop loop;
  LoopClock clock(loop);

  auto before = std::chrono::system_clock::now();
  Time now = clock.now();

  CHECK(now > before - 1min);
  CHECK(now < before + 1min);
}

TEST_CASE("an alarm fires on the loop, not before its time") {
  Loop loop;
  LoopClock clock(loop);
  Time fired_at{};
  Alarm alarm(clock, [&] {
    fired_at = clock.now();
    loop.stop();
  });
  Time when = clock.now() + 5ms;

  alarm.set(when);
  loop.run();

  CHECK(fired_at >= when);
  CHECK_FALSE(alarm.is_set());
}

TEST_CASE("an alarm whose time has passed fires on the loop's next turn") {
  Loop loop;
  LoopClock clock(loop);
  bool fired = false;
  Alarm alarm(clock, [&] {
    fired = true;
    loop.stop();
  });

  alarm.set(clock.now() - 1h);
  CHECK_FALSE(fired);
  loop.run();

  CHECK(fired);
}

TEST_CASE("an alarm that is always due leaves the loop to others") {
  Loop loop;
  LoopClock clock(loop);
  std::unique_ptr<Alarm> alarm;
  alarm = std::make_unique<Alarm>(clock, [&] { alarm->set(clock.now() - 1h); });
  bool other_fired = false;
  Alarm other(clock, [&] {
    other_fired = true;
    loop.post([&] { loop.stop(); });
  });

  alarm->set(clock.now() - 1h);
  other.set(clock.now());
  loop.run();

  CHECK(other_fired);
}

TEST_CASE("an earlier alarm set after a later one fires first") {
  Loop loop;
  LoopClock clock(loop);
  std::string order;
  Alarm late(clock, [&] {
    order += 'l';
    loop.stop();
  });
  Alarm early(clock, [&] { order += 'e'; });

  late.set(clock.now() + 20ms);
  early.set(clock.now() + 2ms);
  loop.run();

  CHECK(order == "el");
}

TEST_CASE("a cleared alarm stays silent while others fire") {
  Loop loop;
  LoopClock clock(loop);
  std::string order;
  auto destroyed = std::make_unique<Alarm>(clock, [&] { order += 'd'; });
  Alarm cleared(clock, [&] { order += 'c'; });
  Alarm last(clock, [&] {
    order += 'l';
    loop.stop();
  });
  destroyed->set(clock.now() + 1ms);
  cleared.set(clock.now() + 2ms);
  last.set(clock.now() + 5ms);

  destroyed.reset();
  cleared.clear();
  loop.run();

  CHECK(order == "l");
}

TEST_CASE("an alarm in the far future can be set and replaced") {
  Loop loop;
  LoopClock clock(loop);
  int fired = 0;
  Alarm alarm(clock, [&] {
    ++fired;
    loop.stop();
  });

  alarm.set(Time::max());
  alarm.set(clock.now() + 2ms);
  loop.run();

  CHECK(fired == 1);
}

TEST_CASE("an alarm that sets itself again in its handler keeps firing") {
  Loop loop;
  LoopClock clock(loop);
  int fired = 0;
  std::unique_ptr<Alarm> alarm;
  alarm = std::make_unique<Alarm>(clock, [&] {
    if (++fired == 3) return loop.stop();
    alarm->set(clock.now() + 1ms);
  });

  alarm->set(clock.now());
  loop.run();

  CHECK(fired == 3);
}
