// Tells systemd how we are (Type=notify, WatchdogSec). Without systemd it does nothing.
#pragma once

#include "agent/base/loop.h"

namespace nodepilot {

// Thread: loop. The watchdog beats from the loop, so a loop that hangs stops it.
class SystemdNotifier {
 public:
  explicit SystemdNotifier(Loop& loop);

  // Whether somebody listens.
  static bool is_there();

  void ready(const std::string& status);
  void status(const std::string& status);
  void stopping();
  // Has systemd keep `socket` for our next life, in place of what it kept under `name`; it does as
  // far as the unit's FileDescriptorStoreMax= allows.
  void store(const std::string& name, int socket);

 private:
  void beat();

  boost::asio::steady_timer timer_;
  std::chrono::microseconds period_{0};  // zero: no watchdog is asked for
};

}  // namespace nodepilot
