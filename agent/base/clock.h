// The only source of time, and alarms on it. Instants are wall-clock: after a suspend or an NTP
// step an alarm fires as soon as its instant has passed, not when a monotonic timer would.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>

#include "agent/base/time.h"

namespace nodepilot {

class Alarm;

class Clock {
 public:
  Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;
  virtual ~Clock() = default;

  // Thread: any.
  virtual Time now() const = 0;

  // Calls `listener` after every step of the clock, forward or back, until the returned handle is
  // destroyed. Alarms need none of it: what has become due fires by itself, and after a step back
  // the rest waits. Thread: loop.
  std::shared_ptr<void> on_step(std::function<void()> listener);

 protected:
  // The clock was set: tells the listeners, then fires what is due. Thread: loop.
  void stepped();
  // Fires every alarm that is due, earliest first. One that is set meanwhile waits for the next
  // call, due or not, so that no handler can keep the loop to itself. Thread: loop.
  void fire_due();
  std::optional<Time> earliest() const;

 private:
  friend class Alarm;
  using Armed = std::multimap<Time, Alarm*>;

  // The earliest alarm has changed: see to it that fire_due() runs at that time.
  virtual void rearm() = 0;

  Armed armed_;
  std::uint64_t settings_ = 0;
  std::list<std::weak_ptr<std::function<void()>>> step_listeners_;
};

// Calls `fire` once, on the loop, at or after the time that was set. Destruction disarms it.
// Must not outlive its clock. Thread: loop.
class Alarm {
 public:
  Alarm(Clock& clock, std::function<void()> fire);
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;
  ~Alarm() { clear(); }

  // Replaces the earlier setting. A time that has passed fires on the loop's next turn.
  void set(Time when);
  void clear();
  bool is_set() const { return position_.has_value(); }

 private:
  friend class Clock;

  Clock& clock_;
  std::function<void()> fire_;
  std::optional<Clock::Armed::iterator> position_;
  std::uint64_t setting_ = 0;  // how many settings the clock had seen with this one
};

// The clock of tests: stands still until it is told to move.
class FakeClock : public Clock {
 public:
  explicit FakeClock(Time start = Time{std::chrono::sys_days{std::chrono::year{2026} / 1 / 1}})
      : now_(start) {}

  Time now() const override { return now_; }

  // Moves on, stopping at every alarm on the way so that its handler sees the time it was set for.
  void advance(Duration duration);
  // A clock step: jumps, then fires what is due.
  void jump(Time to);

 private:
  void rearm() override {}
  Time now_;
};

}  // namespace nodepilot
