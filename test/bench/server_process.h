// What a process uses, as the kernel counts it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>

namespace nodepilot {

class ServerProcess {
 public:
  explicit ServerProcess(pid_t pid) : pid_(pid) {}

  pid_t pid() const { return pid_; }
  std::size_t rss_kib() const;
  // Of all its threads, user and kernel, since it began.
  std::chrono::nanoseconds cpu() const;

 private:
  pid_t pid_;
};

}  // namespace nodepilot
