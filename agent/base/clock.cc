#include "agent/base/clock.h"

#include <algorithm>

namespace nodepilot {

std::optional<Time> Clock::earliest() const {
  if (armed_.empty()) return std::nullopt;
  return armed_.begin()->first;
}

void Clock::fire_due() {
  while (!armed_.empty() && armed_.begin()->first <= now()) {
    Alarm* alarm = armed_.begin()->second;
    alarm->clear();
    // A copy: the handler may destroy the alarm, and with it the function.
    auto fire = alarm->fire_;
    fire();
  }
}

Alarm::Alarm(Clock& clock, std::function<void()> fire) : clock_(clock), fire_(std::move(fire)) {}

void Alarm::set(Time when) {
  clear();
  position_ = clock_.armed_.emplace(when, this);
  if (*position_ == clock_.armed_.begin()) clock_.rearm();
}

void Alarm::clear() {
  if (position_) clock_.armed_.erase(*position_);
  position_.reset();
}

void FakeClock::advance(Duration duration) {
  Time end = now_ + duration;
  while (earliest() && *earliest() <= end) {
    now_ = std::max(now_, *earliest());
    fire_due();
  }
  now_ = end;
}

void FakeClock::jump(Time to) {
  now_ = to;
  fire_due();
}

}  // namespace nodepilot
