#include "agent/process_metrics.h"

#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <sstream>

#include "agent/base/files.h"

namespace nodepilot {
namespace {

constexpr std::size_t kMaxStatmBytes = 256;

struct Memory {
  double virtual_bytes;
  double resident_bytes;
};

std::optional<Memory> memory() {
  auto text = read_file("/proc/self/statm", kMaxStatmBytes);
  if (!text) return std::nullopt;
  double virtual_pages = 0;
  double resident_pages = 0;
  if (!(std::istringstream(*text) >> virtual_pages >> resident_pages)) return std::nullopt;
  auto page = static_cast<double>(::sysconf(_SC_PAGESIZE));
  return Memory{virtual_pages * page, resident_pages * page};
}

std::optional<double> cpu_seconds() {
  rusage used{};
  if (::getrusage(RUSAGE_SELF, &used) != 0) return std::nullopt;
  auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

std::optional<double> open_descriptors() {
  std::error_code error;
  double count = -1;  // but the one that this opens
  for (std::filesystem::directory_iterator fd("/proc/self/fd", error), end; fd != end && !error;
       fd.increment(error)) {
    ++count;
  }
  return error ? std::nullopt : std::optional(count);
}

}  // namespace

void add_process_metrics(std::int64_t started_at, MetricFamilies& out) {
  out.gauge("process_start_time_seconds", "When the agent was started.")
      .add(static_cast<double>(started_at));
  if (auto seconds = cpu_seconds()) {
    out.counter("process_cpu_seconds_total", "User and system CPU time.").add(*seconds);
  }
  if (auto bytes = memory()) {
    out.gauge("process_virtual_memory_bytes", "Virtual memory.").add(bytes->virtual_bytes);
    out.gauge("process_resident_memory_bytes", "Resident memory.").add(bytes->resident_bytes);
  }
  if (auto open = open_descriptors()) {
    out.gauge("process_open_fds", "Open file descriptors.").add(*open);
  }
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    out.gauge("process_max_fds", "How many file descriptors may be open.")
        .add(static_cast<double>(limit.rlim_cur));
  }
}

}  // namespace nodepilot
