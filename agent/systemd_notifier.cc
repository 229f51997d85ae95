#include "agent/systemd_notifier.h"

#include <systemd/sd-daemon.h>

namespace nodepilot {

SystemdNotifier::SystemdNotifier(Loop& loop) : timer_(loop.io()) {
  std::uint64_t microseconds = 0;
  // Half the time asked for: one late beat is not the end.
  if (sd_watchdog_enabled(0, &microseconds) > 0) {
    period_ = std::chrono::microseconds(microseconds / 2);
  }
}

void SystemdNotifier::ready(const std::string& status) {
  sd_notify(0, ("READY=1\nSTATUS=" + status).c_str());
  if (period_.count() > 0) beat();
}

void SystemdNotifier::stopping() { sd_notify(0, "STOPPING=1\nSTATUS=draining"); }

void SystemdNotifier::beat() {
  sd_notify(0, "WATCHDOG=1");
  timer_.expires_after(period_);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) beat();
  });
}

}  // namespace nodepilot
