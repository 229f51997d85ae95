#include "rotation/https/retry_after.h"

#include <doctest/doctest.h>

namespace nodepilot {
namespace {

using namespace std::chrono_literals;

const Time kNow{std::chrono::sys_days{std::chrono::year{1994} / 11 / 6} + 8h + 49min};

TEST_CASE("seconds are waited for as written") {
  CHECK(parse_retry_after("0", kNow) == 0s);
  CHECK(parse_retry_after("120", kNow) == 120s);
}

TEST_CASE("a date is waited for") {
  CHECK(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", kNow) == 37s);
  CHECK(parse_retry_after("Mon, 07 Nov 1994 00:00:00 GMT", kNow) == 15h + 11min);
}

TEST_CASE("a date that has passed means now, and nobody waits more than a day") {
  CHECK(parse_retry_after("Sun, 06 Nov 1994 08:00:00 GMT", kNow) == 0s);
  CHECK(parse_retry_after("Fri, 31 Dec 9999 23:59:59 GMT", kNow) == 24h);
  CHECK(parse_retry_after("86401", kNow) == 24h);
  CHECK(parse_retry_after("99999999999999999999999", kNow) == 24h);
}

TEST_CASE("anything else says nothing") {
  for (const char* text : {"", "-1", "1.5", "+3", "3 ", " 3", "soon",
                           "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
                           "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 31 Feb 1994 08:49:37 GMT",
                           "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
                           "Sun, 06 Nov 1994 08:60:00 GMT", "Sun, 06 Nov 1994 08:49:61 GMT",
                           "Sun, +6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT "}) {
    CAPTURE(text);
    CHECK_FALSE(parse_retry_after(text, kNow));
  }
}

}  // namespace
}  // namespace nodepilot
