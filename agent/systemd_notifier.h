// Tells systemd how we are (Type=notify, WatchdogSec). Without systemd it does nothing.
#pragma once

#include "agent/base/loop.h"

namespace nodepilot {

// Thread: loop. The watchdog beats from the loop, so a loop that hangs stops it.
class SystemdNotifier {
 public:
  explicit SystemdNotifier(Loop& loop);

  void ready(const std::string& status);
  void stopping();

 private:
  void beat();

  boost::asio::steady_timer timer_;
  std::chrono::microseconds period_{0};  // zero: no watchdog is asked for
};

}  // namespace nodepilot
