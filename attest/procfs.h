// The procfs in which processes are looked at. Everything that reads about a process takes it from
// here, so that an agent in a container can be shown the host's at another place (HOST_PROC).
#pragma once

#include <string>

#include "attest/proc.h"

namespace nodepilot {

// Immutable. Thread: any.
class Procfs {
 public:
  // /proc, unchecked.
  Procfs() = default;
  // kFailedPrecondition if `root` is no procfs, or that of another pid namespace than ours: the
  // pids that the kernel tells of peers would be other processes there.
  static expected<Procfs> open(std::string root);

  ProcDirectory process(pid_t pid) const { return ProcDirectory(pid, root_); }

  // Whether our pid namespace is the host's. In another one only the processes of that have pids.
  bool is_of_the_host() const;

 private:
  explicit Procfs(std::string root) : root_(std::move(root)) {}

  std::string root_ = "/proc";
};

}  // namespace nodepilot
