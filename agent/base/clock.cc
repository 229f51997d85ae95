#include "agent/base/clock.h"

#include <algorithm>

namespace nodepilot {

std::optional<Time> Clock::earliest() const {
  if (armed_.empty()) return std::nullopt;
  return armed_.begin()->first;
}

void Clock::fire_due() {
  auto is_old = [last = settings_](const auto& armed) { return armed.second->setting_ <= last; };
  while (true) {
    auto end_of_due = armed_.upper_bound(now());
    auto next = std::find_if(armed_.begin(), end_of_due, is_old);
    if (next == end_of_due) return;
    Alarm* alarm = next->second;
    alarm->clear();
    // A copy: the handler may destroy the alarm, and with it the function.
    auto fire = alarm->fire_;
    fire();
  }
}

std::shared_ptr<void> Clock::on_step(std::function<void()> listener) {
  auto handle = std::make_shared<std::function<void()>>(std::move(listener));
  step_listeners_.push_back(handle);
  return handle;
}

void Clock::stepped() {
  step_listeners_.remove_if([](const auto& listener) { return listener.expired(); });
  auto listeners = step_listeners_;
  for (const auto& weak : listeners) {
    if (auto listener = weak.lock()) (*listener)();
  }
  fire_due();
}

Alarm::Alarm(Clock& clock, std::function<void()> fire) : clock_(clock), fire_(std::move(fire)) {}

void Alarm::set(Time when) {
  clear();
  setting_ = ++clock_.settings_;
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
  stepped();
  while (earliest() && *earliest() <= now_) fire_due();
}

}  // namespace nodepilot
