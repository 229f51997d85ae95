// Notices a client that floods its connection with frames that cost us work and ask for nothing.
// Reads no clock. Thread: loop.
#pragma once

#include "agent/base/token_bucket.h"
#include "sds/rpc/limits.h"

namespace nodepilot {

// The frames that are counted. kIdle: PRIORITY, and DATA that neither holds nor ends anything.
enum class ControlFrame { kPing, kReset, kSettings, kIdle };

class FloodGuard {
 public:
  using Instant = TokenBucket::Instant;

  explicit FloodGuard(const Limits& limits)
      : pings_(limits.pings_per_second, limits.pings_per_second * kBurst),
        resets_(limits.resets_per_second, limits.resets_per_second * kBurst),
        settings_(limits.settings_per_second, limits.settings_per_second * kBurst) {}

  // A frame has come: false if it is one too many.
  bool allows(ControlFrame frame, Instant now);

  // HEADERS or DATA went out. The client may answer it with a PING for free: clients measure the
  // bandwidth so, and a busy one would else look like a flood.
  void reply_sent() { ping_is_free_ = true; }

 private:
  static constexpr std::size_t kBurst = 10;  // seconds' worth

  TokenBucket pings_;
  TokenBucket resets_;
  TokenBucket settings_;
  bool ping_is_free_ = false;
};

}  // namespace nodepilot
