#include "agent/base/time.h"

#include <doctest/doctest.h>

using namespace nodepilot;
using namespace std::chrono;
using namespace std::chrono_literals;

TEST_CASE("instants are written in UTC and whole seconds") {
  CHECK(to_rfc3339(Time{sys_days{2026y / 11 / 22}} + 4h + 30min + 5s) == "2026-11-22T04:30:05Z");
  CHECK(to_rfc3339(Time{}) == "1970-01-01T00:00:00Z");
  CHECK(to_rfc3339(Time{} + 999ms) == "1970-01-01T00:00:00Z");
}

TEST_CASE("instants before 1970 and at the end of X.509's calendar are written right") {
  CHECK(to_rfc3339(Time{} - 1ms) == "1969-12-31T23:59:59Z");
  CHECK(to_rfc3339(Time{sys_days{1950y / 1 / 1}}) == "1950-01-01T00:00:00Z");
  CHECK(to_rfc3339(Time{sys_days{9999y / 12 / 31}} + 23h + 59min + 59s) == "9999-12-31T23:59:59Z");
  CHECK(to_rfc3339(Time{sys_days{2028y / 2 / 29}}) == "2028-02-29T00:00:00Z");
}

TEST_CASE("durations are written in their two largest units") {
  CHECK(to_text(41min) == "41m");
  CHECK(to_text(9min + 12s) == "9m12s");
  CHECK(to_text(24h * 3 + 4h + 5min + 6s) == "3d4h");
  CHECK(to_text(1h + 1min) == "1h1m");
  CHECK(to_text(365 * 24h) == "365d");
}

TEST_CASE("a unit that is zero is left out, not replaced by a smaller one") {
  CHECK(to_text(1h + 5s) == "1h");
  CHECK(to_text(24h + 59min) == "1d");
}

TEST_CASE("short durations are written in milliseconds, seconds without them") {
  CHECK(to_text(850ms) == "850ms");
  CHECK(to_text(1ms) == "1ms");
  CHECK(to_text(1s + 500ms) == "1s");
  CHECK(to_text(59s + 999ms) == "59s");
  CHECK(to_text(0ms) == "0s");
}

TEST_CASE("a duration that is past has a minus sign") {
  CHECK(to_text(-9min - 12s) == "-9m12s");
  CHECK(to_text(-1ms) == "-1ms");
}

TEST_CASE("the longest durations can be written") {
  CHECK(to_text(Duration::max()) == "106751991167d7h");
  CHECK(to_text(Duration::min()) == "-106751991167d7h");
}
