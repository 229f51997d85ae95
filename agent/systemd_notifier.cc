#include "agent/systemd_notifier.h"

#include <systemd/sd-daemon.h>

#include <cstdlib>

namespace nodepilot {

SystemdNotifier::SystemdNotifier(Loop& loop) : timer_(loop.io()) {
  std::uint64_t microseconds = 0;
  // Half the time asked for: one late beat is not the end.
  if (sd_watchdog_enabled(0, &microseconds) > 0) {
    period_ = std::chrono::microseconds(microseconds / 2);
  }
}

bool SystemdNotifier::is_there() { return ::getenv("NOTIFY_SOCKET") != nullptr; }

void SystemdNotifier::ready(const std::string& status) {
  sd_notify(0, ("READY=1\nSTATUS=" + status).c_str());
  if (period_.count() > 0) beat();
}

void SystemdNotifier::status(const std::string& status) {
  sd_notify(0, ("STATUS=" + status).c_str());
}

void SystemdNotifier::store(const std::string& name, int socket) {
  sd_notify(0, ("FDSTOREREMOVE=1\nFDNAME=" + name).c_str());
  sd_pid_notify_with_fds(0, 0, ("FDSTORE=1\nFDNAME=" + name).c_str(), &socket, 1);
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
