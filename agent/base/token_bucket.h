// Meters events: so many per second on average, so many at once. Reads no clock.
// Thread: that of its owner.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace nodepilot {

// `TimePoint` may be of a clock that can be set back: then a full bucket's time passes at most
// until every token is there again.
template <class TimePoint>
class BasicTokenBucket {
 public:
  using Instant = TimePoint;

  BasicTokenBucket(std::size_t per_second, std::size_t burst)
      : interval_(std::chrono::microseconds(std::chrono::seconds(1)) /
                  std::max<std::size_t>(per_second, 1)),
        capacity_(interval_ * burst) {}

  // Takes a token; false, and nothing taken, if there is none.
  bool take(Instant now) {
    full_ = filled(now);
    if (full_ + interval_ - now > capacity_) return false;
    full_ += interval_;
    return true;
  }

  // When take() works again.
  Instant next(Instant now) const {
    Point there = filled(now) + interval_ - capacity_;
    return std::max(now, std::chrono::ceil<typename Instant::duration>(there));
  }

  // Takes a token even if there is none: the debt is paid back by paid().
  void borrow(Instant now) { full_ = std::max(full_, point(now)) + interval_; }
  Instant paid() const { return std::chrono::floor<typename Instant::duration>(full_ - capacity_); }

 private:
  using Point = std::chrono::time_point<typename Instant::clock, std::chrono::microseconds>;

  static Point point(Instant now) { return std::chrono::floor<std::chrono::microseconds>(now); }
  Point filled(Instant now) const { return std::clamp(full_, point(now), point(now) + capacity_); }

  std::chrono::microseconds interval_;
  std::chrono::microseconds capacity_;
  Point full_{};  // when every token will be back: all the state there is
};

using TokenBucket = BasicTokenBucket<std::chrono::steady_clock::time_point>;

}  // namespace nodepilot
