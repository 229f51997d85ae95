// What is logged while it lives, for tests of log lines. Lines of before and after go to stderr.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "agent/base/fd.h"

namespace nodepilot {

// Thread: one at a time in a process.
class CapturedLog {
 public:
  CapturedLog() : stderr_(dup(STDERR_FILENO)), file_(memfd_create("log", MFD_CLOEXEC)) {
    std::fflush(stderr);
    dup2(file_.get(), STDERR_FILENO);
  }
  CapturedLog(const CapturedLog&) = delete;
  CapturedLog& operator=(const CapturedLog&) = delete;
  ~CapturedLog() {
    std::fflush(stderr);
    dup2(stderr_.get(), STDERR_FILENO);
  }

  std::string text() const {
    std::fflush(stderr);
    std::string text(static_cast<std::size_t>(lseek(file_.get(), 0, SEEK_END)), '\0');
    text.resize(static_cast<std::size_t>(
        std::max<ssize_t>(pread(file_.get(), text.data(), text.size(), 0), 0)));
    return text;
  }

  // How often `part` stands in it.
  std::size_t count(const std::string& part) const {
    std::string all = text();
    std::size_t found = 0;
    for (auto at = all.find(part); at != std::string::npos; at = all.find(part, at + 1)) ++found;
    return found;
  }

 private:
  const Fd stderr_;
  const Fd file_;
};

}  // namespace nodepilot
