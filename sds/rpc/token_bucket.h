// Meters events: so many per second on average, so many at once. Reads no clock.
// Thread: loop.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace nodepilot {

class TokenBucket {
 public:
  using Instant = std::chrono::steady_clock::time_point;

  TokenBucket(std::size_t per_second, std::size_t burst)
      : interval_(std::chrono::nanoseconds(std::chrono::seconds(1)) /
                  std::max<std::size_t>(per_second, 1)),
        capacity_(interval_ * burst) {}

  // Takes a token; false, and nothing taken, if there is none.
  bool take(Instant now) {
    Instant full = std::max(full_, now) + interval_;
    if (full - now > capacity_) return false;
    full_ = full;
    return true;
  }

  // Takes a token even if there is none: the debt is paid back by paid().
  void borrow(Instant now) { full_ = std::max(full_, now) + interval_; }
  Instant paid() const { return full_ - capacity_; }

 private:
  std::chrono::nanoseconds interval_;
  std::chrono::nanoseconds capacity_;
  Instant full_{};  // when every token will be back: all the state there is
};

}  // namespace nodepilot
