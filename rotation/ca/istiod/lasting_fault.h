// Logs a fault that lasts over many calls once, and again if it changes or every ten minutes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agent/base/log.h"
#include "agent/base/time.h"

namespace nodepilot {

// Thread: any, one at a time.
class LastingFault {
 public:
  // `event` is the log line's, "token not read: the last one is used".
  void warn(std::string_view event, const Error& error, Time now) {
    bool is_known = message_ == error.message && now >= since_ && now - since_ < kRepeat;
    if (is_known) return;
    message_ = error.message;
    since_ = now;
    log::warn(event, {{"error", error.message}});
  }
  void over() { message_.reset(); }

 private:
  static constexpr Duration kRepeat = std::chrono::minutes(10);

  std::optional<std::string> message_;
  Time since_{};
};

}  // namespace nodepilot
