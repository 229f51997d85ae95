#include "agent/base/loop.h"

#include <sys/timerfd.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <cassert>

#include "agent/base/log.h"

namespace nodepilot {
namespace asio = boost::asio;

void Loop::run() {
  thread_ = std::this_thread::get_id();
  auto stay = asio::make_work_guard(io_);
  io_.run();
}

void Loop::post(std::function<void()> task) { asio::post(io_, std::move(task)); }

void Loop::assert_here() const {
  assert(thread_ == std::thread::id() || thread_ == std::this_thread::get_id());
}

LoopClock::LoopClock(Loop& loop) : loop_(loop), timer_(loop.io()), steps_(loop.io()) {
  watch_steps();
}

Time LoopClock::now() const {
  return std::chrono::floor<Duration>(std::chrono::system_clock::now());
}

void LoopClock::rearm() {
  loop_.assert_here();
  // The minute bounds how late an alarm is after a suspend, which stops the steady clock.
  Duration wait = std::clamp<Duration>(earliest().value_or(Time::max()) - now(), Duration(0),
                                       std::chrono::minutes(1));
  timer_.expires_after(wait);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    fire_due();
    if (earliest()) rearm();
  });
}

void LoopClock::watch_steps() {
  if (!steps_.is_open()) {
    int fd = ::timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fd < 0) {
      log::warn("clock steps are not watched", {{"reason", "timerfd_create failed"}});
      return;
    }
    steps_.assign(fd);
  }
  // Far in the future; what matters is the cancellation that a clock step causes.
  itimerspec never{};
  never.it_value.tv_sec = std::int64_t{1} << 33;  // the year 2242
  ::timerfd_settime(steps_.native_handle(), TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never,
                    nullptr);
  steps_.async_wait(
      asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
        if (error) return;
        std::uint64_t ignored = 0;
        [[maybe_unused]] ssize_t n = ::read(steps_.native_handle(), &ignored, sizeof ignored);
        log::info("the clock was set", {{"now", to_rfc3339(now())}});
        watch_steps();
        stepped();
        if (earliest()) rearm();
      });
}

}  // namespace nodepilot
