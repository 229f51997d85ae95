// The one thread that owns every mutable object, and its real-time clock.
#pragma once

#include <utility>
// Boost 1.74's asio uses std::exchange without including it.
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <thread>

#include "agent/base/clock.h"

namespace nodepilot {

class Loop {
 public:
  Loop() = default;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs until stop(); the calling thread is the loop thread from then on.
  void run();
  // Thread: any.
  void stop() { io_.stop(); }
  // Runs `task` on the loop thread, never inside this call. Thread: any.
  void post(std::function<void()> task);

  boost::asio::io_context& io() { return io_; }
  // In debug builds, asserts that the caller is on the loop thread (or that run() is not yet
  // called).
  void assert_here() const;

 private:
  boost::asio::io_context io_{1};
  std::thread::id thread_;
};

// The wall clock on a loop. Alarms are re-checked at least once a minute and at every clock step
// that the kernel reports. Thread: loop, but for now().
class LoopClock : public Clock {
 public:
  explicit LoopClock(Loop& loop);

  Time now() const override;

 private:
  void rearm() override;
  void watch_steps();

  const Loop& loop_;
  boost::asio::steady_timer timer_;
  boost::asio::posix::stream_descriptor steps_;  // a timerfd that is readable after a clock step
};

}  // namespace nodepilot
