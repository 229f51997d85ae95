// Where our own cgroup namespace begins. The kernel shows paths of the unified hierarchy as they
// look from there: for an agent in a container of its own, another container is at "/../x".
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace nodepilot {

// A value, constant after construction. Thread: any.
class CgroupRoot {
 public:
  // Taken for the host's: paths are what they seem, and one outside of it is refused.
  CgroupRoot() = default;
  // `path` as the kernel would show it to the host: "/" or "/a/b".
  static expected<CgroupRoot> at(std::string_view path);
  // Finds our own cgroup in `hierarchy`, the host's cgroup2, which may be mounted read-only. (For a
  // cluster within a container that is what its nodes see: its root counts for the host's.)
  // kFailedPrecondition if it is no cgroup2, holds us nowhere, or is our own namespace's.
  static expected<CgroupRoot> find(const std::filesystem::path& hierarchy);

  // What the host calls the cgroup that /proc/PID/cgroup shows to us as `path`, after "0::".
  // kFailedPrecondition: ".." leads above the root, or stands anywhere but at the start.
  expected<std::string> resolve(std::string_view path) const;

  friend bool operator==(const CgroupRoot&, const CgroupRoot&) = default;

 private:
  explicit CgroupRoot(std::string path) : path_(std::move(path)) {}

  std::optional<std::string> path_;  // without a slash at the end: empty is the host's root
};

// Of our namespace, given our own cgroup's path on the host, and as /proc/self/cgroup shows it.
expected<CgroupRoot> root_of_namespace(std::string_view on_host, std::string_view shown);

}  // namespace nodepilot
