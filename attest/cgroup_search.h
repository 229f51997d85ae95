// Looks for one cgroup in a mounted unified hierarchy. Thread: any; it takes microseconds for each
// cgroup.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "agent/base/fd.h"
#include "agent/base/result.h"

namespace nodepilot {

// How to know it: by its id, which is the inode of its directory, or else by a process in it.
struct CgroupSought {
  std::optional<std::uint64_t> id{};
  pid_t process = 0;  // as our pid namespace numbers it
};

// The path of that cgroup below `hierarchy`, an open directory: "/" or "/a/b". Follows no symbolic
// link, enters no other file system, and goes no deeper than 64. kNotFound if it is not there;
// kResourceExhausted if the hierarchy has more than 500,000 cgroups.
expected<std::string> find_cgroup(const Fd& hierarchy, const CgroupSought& sought);

}  // namespace nodepilot
