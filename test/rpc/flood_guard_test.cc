#include "sds/rpc/flood_guard.h"

#include <doctest/doctest.h>

namespace nodepilot {
namespace {

using namespace std::chrono_literals;

constexpr FloodGuard::Instant kStart{1h};

int allowed(FloodGuard& guard, ControlFrame frame, FloodGuard::Instant now = kStart) {
  int n = 0;
  while (n < 100000 && guard.allows(frame, now)) ++n;
  return n;
}

TEST_CASE("each kind of frame has ten seconds' worth at once") {
  FloodGuard guard{Limits()};

  CHECK(allowed(guard, ControlFrame::kPing) == 100);
  CHECK(allowed(guard, ControlFrame::kReset) == 1000);
  CHECK(allowed(guard, ControlFrame::kSettings) == 50);
}

TEST_CASE("empty frames and PINGs share one budget") {
  FloodGuard guard{Limits()};

  CHECK(allowed(guard, ControlFrame::kIdle) == 100);
  CHECK_FALSE(guard.allows(ControlFrame::kPing, kStart));
}

TEST_CASE("a budget comes back with time") {
  FloodGuard guard{Limits()};
  allowed(guard, ControlFrame::kPing);

  CHECK(allowed(guard, ControlFrame::kPing, kStart + 1s) == 10);
}

TEST_CASE("a client that pings once for each reply is never cut off") {
  FloodGuard guard{Limits()};

  for (int i = 0; i < 10000; ++i) {
    guard.reply_sent();
    REQUIRE(guard.allows(ControlFrame::kPing, kStart));
  }
}

TEST_CASE("one reply frees one PING, not many") {
  FloodGuard guard{Limits()};
  guard.reply_sent();
  guard.reply_sent();

  CHECK(allowed(guard, ControlFrame::kPing) == 101);
}

}  // namespace
}  // namespace nodepilot
