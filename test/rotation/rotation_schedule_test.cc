#include "rotation/rotation_schedule.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>

namespace nodepilot {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using Ids = std::vector<std::string>;

const Time kNow{std::chrono::sys_days{std::chrono::year{2026} / 1 / 1}};

Jitter always(double value) {
  return [value] { return value; };
}

Duration renewal_after(double jitter, const Validity& validity, RotationPolicy policy = {}) {
  RotationSchedule schedule(policy, always(jitter));
  schedule.renewed("web", kNow, validity);
  return schedule.planned("web").value() - kNow;
}

TEST_CASE("renewals fall between 0.45 and 0.55 of the life") {
  Validity hour{kNow, kNow + hours(1)};

  CHECK(renewal_after(0.0, hour) == minutes(27));
  CHECK(renewal_after(0.5, hour) == minutes(30));
  CHECK(renewal_after(0.999999, hour) > minutes(32));
  CHECK(renewal_after(0.999999, hour) <= minutes(33));
}

TEST_CASE("life counts from now, not from a back-dated start") {
  CHECK(renewal_after(0.5, {kNow - hours(10), kNow + hours(1)}) == minutes(30));
}

TEST_CASE("the renewal instant is drawn once for each certificate") {
  int draws = 0;
  RotationSchedule schedule({}, [&] { return ++draws * 0.1; });
  schedule.renewed("web", kNow, {kNow, kNow + hours(1)});
  Time planned = schedule.planned("web").value();

  for (Time time = kNow; time < planned; time += seconds(5)) CHECK(schedule.take_due(time).empty());

  CHECK(draws == 1);
  CHECK(schedule.planned("web") == planned);
}

TEST_CASE("a CA that says when to come again is heeded") {
  RotationSchedule schedule({}, always(0.25));

  schedule.failed("web", kNow, std::nullopt, seconds(20));
  schedule.failed("db", kNow, kNow + seconds(10), seconds(20));
  schedule.failed("slow", kNow, std::nullopt, hours(24));

  CHECK(schedule.planned("web") == kNow + seconds(25));
  CHECK(schedule.planned("db") == kNow + seconds(10));  // not after the end of what is held
  CHECK(schedule.planned("slow") <= kNow + minutes(10));
}

TEST_CASE("a very short certificate does not make a loop without pause") {
  CHECK(renewal_after(0.0, {kNow, kNow + milliseconds(20)}) >= milliseconds(500));
  CHECK(renewal_after(0.0, {kNow, kNow - hours(1)}) >= milliseconds(500));
}

TEST_CASE("a policy beyond the whole life is cut to the life") {
  RotationPolicy late{.at = 0.99, .jitter = 0.5};

  CHECK(renewal_after(0.999, {kNow, kNow + hours(1)}, late) == hours(1));
}

TEST_CASE("a certificate that ends in the year 9999 is planned without overflow") {
  Time end{std::chrono::sys_days{std::chrono::year{9999} / 12 / 31}};

  Duration after = renewal_after(0.5, {kNow, end});

  CHECK(after > hours(24) * 365 * 3900);
  CHECK(after < hours(24) * 366 * 4000);
}

Duration retry_after(RotationSchedule& schedule, std::optional<Time> expiry) {
  schedule.failed("web", kNow, expiry);
  return schedule.planned("web").value() - kNow;
}

TEST_CASE("the backoff doubles up to its limit") {
  RotationSchedule schedule({}, always(1.0));
  Time far = kNow + hours(24 * 365);

  std::array<Duration, 11> waits{};
  for (Duration& wait : waits) wait = retry_after(schedule, far);

  CHECK(waits[0] == milliseconds(500));
  CHECK(waits[1] == seconds(1));
  CHECK(waits[8] == seconds(128));
  CHECK(waits[9] == seconds(150));
  CHECK(waits[10] == seconds(150));
  CHECK(schedule.failures("web") == 11);
}

TEST_CASE("the backoff is at most a twentieth of what is left of the life") {
  RotationSchedule schedule({}, always(1.0));
  for (int i = 0; i < 20; ++i) retry_after(schedule, kNow + hours(24));

  CHECK(retry_after(schedule, kNow + minutes(20)) == minutes(1));
  CHECK(retry_after(schedule, kNow + seconds(4)) == milliseconds(500));
}

TEST_CASE("with nothing valid in hand the backoff stops at ten seconds") {
  RotationSchedule schedule({}, always(1.0));
  for (int i = 0; i < 20; ++i) retry_after(schedule, std::nullopt);

  CHECK(retry_after(schedule, std::nullopt) == seconds(10));
  CHECK(retry_after(schedule, kNow - seconds(1)) == seconds(10));
}

TEST_CASE("the jitter takes the whole window") {
  RotationSchedule early({}, always(0.0));
  RotationSchedule middle({}, always(0.5));
  for (int i = 0; i < 10; ++i) retry_after(middle, std::nullopt);

  CHECK(retry_after(early, std::nullopt) == milliseconds(50));
  CHECK(retry_after(middle, std::nullopt) == seconds(5));
}

TEST_CASE("a retry is never later than the expiry") {
  RotationSchedule schedule({}, always(1.0));

  CHECK(retry_after(schedule, kNow + milliseconds(30)) == milliseconds(30));
}

TEST_CASE("a very long row of failures does not overflow the backoff") {
  RotationPolicy policy{.backoff_limit_without_svid = Duration::max()};
  RotationSchedule schedule(policy, always(1.0));

  Duration longest{0};
  for (int i = 0; i < 40; ++i) longest = std::max(longest, retry_after(schedule, std::nullopt));

  CHECK(longest == milliseconds(500) * (std::int64_t{1} << 39));
  RotationSchedule usual({}, always(1.0));
  for (int i = 0; i < 5000; ++i) CHECK(retry_after(usual, std::nullopt) <= seconds(10));
}

TEST_CASE("a renewal ends the backoff") {
  RotationSchedule schedule({}, always(1.0));
  for (int i = 0; i < 5; ++i) retry_after(schedule, std::nullopt);

  schedule.renewed("web", kNow, {kNow, kNow + hours(1)});

  CHECK(schedule.failures("web") == 0);
  CHECK(retry_after(schedule, std::nullopt) == milliseconds(500));
}

TEST_CASE("what is due is taken once, earliest plan first") {
  RotationSchedule schedule({}, always(0.5));
  schedule.renewed("late", kNow, {kNow, kNow + hours(6)});
  schedule.renewed("middle", kNow, {kNow, kNow + hours(4)});
  schedule.renewed("first", kNow, {kNow, kNow + hours(2)});

  CHECK(schedule.next() == kNow + hours(1));
  CHECK(schedule.take_due(kNow + hours(1) - milliseconds(1)).empty());
  CHECK(schedule.take_due(kNow + hours(2)) == Ids{"first", "middle"});
  CHECK(schedule.take_due(kNow + hours(2)).empty());
  CHECK(schedule.next() == kNow + hours(3));
  CHECK_FALSE(schedule.planned("first"));
}

TEST_CASE("due_now overrides the plan and keeps the count of failures") {
  RotationSchedule schedule({}, always(0.5));
  schedule.failed("web", kNow, kNow + hours(1));
  schedule.due_now("web", kNow);

  CHECK(schedule.take_due(kNow) == Ids{"web"});
  CHECK(schedule.failures("web") == 1);
  CHECK_FALSE(schedule.next());
}

TEST_CASE("what is forgotten is never due") {
  RotationSchedule schedule({}, always(0.5));
  schedule.renewed("web", kNow, {kNow, kNow + hours(1)});

  schedule.forget("web");
  schedule.forget("never seen");

  CHECK_FALSE(schedule.next());
  CHECK(schedule.take_due(kNow + hours(9)).empty());
  CHECK(schedule.failures("web") == 0);
}

}  // namespace
}  // namespace nodepilot
