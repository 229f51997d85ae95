#include <fmt/format.h>
#include <poll.h>
#include <systemd/sd-bus.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include "rotation/outputs/hooks.h"

namespace nodepilot {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr const char* kManager = "org.freedesktop.systemd1";
constexpr const char* kManagerPath = "/org/freedesktop/systemd1";
constexpr const char* kManagerInterface = "org.freedesktop.systemd1.Manager";
// Of one call, which cannot be broken off: it bounds what a bus that hangs costs at a stop.
constexpr Duration kCallTimeout = std::chrono::seconds(5);
constexpr Duration kLongestPause = std::chrono::seconds(1);
constexpr std::size_t kMaxReasonBytes = 512;

struct CloseBus {
  void operator()(sd_bus* bus) const { ::sd_bus_close_unref(bus); }
};
using Bus = std::unique_ptr<sd_bus, CloseBus>;

struct BusError {
  BusError() = default;
  BusError(const BusError&) = delete;
  BusError& operator=(const BusError&) = delete;
  ~BusError() { ::sd_bus_error_free(&error); }

  sd_bus_error error = SD_BUS_ERROR_NULL;
};

std::uint64_t to_microseconds(Duration duration) {
  return static_cast<std::uint64_t>(std::chrono::microseconds(duration).count());
}

// The job that was asked for, and how it ended: systemd tells every end of every job.
struct Job {
  std::string path;
  std::optional<std::string> result;
};

int on_job_removed(sd_bus_message* message, void* user_data, sd_bus_error*) {
  auto& job = *static_cast<Job*>(user_data);
  std::uint32_t id = 0;
  const char* path = nullptr;
  const char* unit = nullptr;
  const char* result = nullptr;
  if (::sd_bus_message_read(message, "uoss", &id, &path, &unit, &result) >= 0 && job.path == path) {
    job.result = result;
  }
  return 0;
}

expected<Bus> open_bus(Duration timeout) {
  sd_bus* opened = nullptr;
  if (int error = ::sd_bus_open_system(&opened); error < 0) {
    auto failed = fail_errno("connect to the system bus", -error);
    failed.value().code = Code::kUnavailable;
    return failed;
  }
  Bus bus(opened);
  ::sd_bus_set_method_call_timeout(bus.get(), to_microseconds(std::min(timeout, kCallTimeout)));
  return bus;
}

expected<std::string> start_job(sd_bus* bus, const std::string& unit) {
  BusError error;
  sd_bus_message* answer = nullptr;
  int called = ::sd_bus_call_method(bus, kManager, kManagerPath, kManagerInterface, "ReloadUnit",
                                    &error.error, &answer, "ss", unit.c_str(), "replace");
  std::unique_ptr<sd_bus_message, decltype(&::sd_bus_message_unref)> owned(answer,
                                                                           ::sd_bus_message_unref);
  if (called < 0) {
    if (error.error.message == nullptr) return fail_errno("ask systemd", -called);
    std::string reason = error.error.message;
    return fail(Code::kInternal, "systemd refuses: " + reason.substr(0, kMaxReasonBytes));
  }
  const char* path = nullptr;
  if (int read = ::sd_bus_message_read(answer, "o", &path); read < 0) {
    return fail_errno("read systemd's answer", -read);
  }
  return std::string(path);
}

// Waits until the bus has something for us, at most `limit`.
expected<void> wait_for(sd_bus* bus, Duration limit, const StopFlag& stop) {
  int events = ::sd_bus_get_events(bus);
  if (events < 0) return fail_errno("wait for the system bus", -events);
  std::array<pollfd, 2> polls{
      pollfd{.fd = ::sd_bus_get_fd(bus), .events = static_cast<short>(events), .revents = 0},
      pollfd{.fd = stop.fd(), .events = POLLIN, .revents = 0}};
  int pause = static_cast<int>(std::min(limit, kLongestPause).count());
  if (::poll(polls.data(), polls.size(), pause) < 0 && errno != EINTR) {
    return fail_errno("poll", errno);
  }
  if (polls[1].revents != 0) return fail(Code::kCancelled, "the agent is stopping");
  return {};
}

expected<void> wait_for_end(sd_bus* bus, const Job& job, Duration timeout, const StopFlag& stop) {
  auto deadline = SteadyClock::now() + timeout;
  while (!job.result) {
    int done = ::sd_bus_process(bus, nullptr);
    if (done < 0) return fail_errno("read from the system bus", -done);
    if (done > 0) continue;
    auto left = std::chrono::ceil<Duration>(deadline - SteadyClock::now());
    if (left.count() <= 0) {
      return fail(Code::kDeadlineExceeded, "not done within " + to_text(timeout));
    }
    TRY(wait_for(bus, left, stop));
  }
  if (*job.result == "done") return {};
  return fail(Code::kInternal, "systemd says: " + job.result->substr(0, kMaxReasonBytes));
}

}  // namespace

expected<void> reload_unit(const ReloadHook& hook, Duration timeout, const StopFlag& stop) {
  Bus bus = TRY(open_bus(timeout));
  Job job;
  // Asked for before the job begins, which may be over at once.
  int matched = ::sd_bus_match_signal(bus.get(), nullptr, kManager, kManagerPath, kManagerInterface,
                                      "JobRemoved", on_job_removed, &job);
  if (matched < 0) return fail_errno("listen to the system bus", -matched);
  job.path = TRY(start_job(bus.get(), hook.unit));
  return wait_for_end(bus.get(), job, timeout, stop);
}

}  // namespace nodepilot
