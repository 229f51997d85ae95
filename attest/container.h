// In which container, and in which Kubernetes pod, does a process run? Read from the names of its
// cgroups alone, which the kernel tells. Never from its mount table, which it can arrange itself.
// Thread: any.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "agent/base/result.h"
#include "attest/cgroup_root.h"

namespace nodepilot {

// As far as the name of the cgroup tells: in Kubernetes' cgroupfs layout it tells nothing.
enum class ContainerRuntime { kUnknown, kDocker, kPodman, kContainerd, kCrio };

struct ContainerLocation {
  // Dashed, lower-case, 8-4-4-4-12; of a static pod 32 hex digits; empty if it is in no pod.
  std::string pod_uid{};
  std::string container_id{};  // 64 lower-case hex digits
  ContainerRuntime runtime = ContainerRuntime::kUnknown;
  // Set if it is a container of this user's own, below the user's systemd instance. The user can
  // make any name there, so the id is worth what that user says: ask that user's engine alone.
  std::optional<uid_t> rootless_uid{};

  friend bool operator==(const ContainerLocation&, const ContainerLocation&) = default;
};

// `cgroup` is all of /proc/PID/cgroup (ProcessFacts::cgroup). Empty: it is in no container of
// Docker, Podman or Kubernetes. kFailedPrecondition: in doubt, and the caller must take it for
// nothing; the error says which line raised it.
//
// Names count from the root of the hierarchy on, where only root can make them: the first pod and
// container there are the process's own. Below a cgroup that was delegated, to a user or into a
// container, anybody can make the names of somebody else's pod. So a name that looks like a
// container's in any other place is refused, and a second one further down as well.
//
// Lines of several hierarchies (v1) must not name different containers. A line that names none says
// nothing: engines leave some hierarchies alone. Only one below a user's systemd instance speaks
// against a container that root made.
//
// `root` says what the unified hierarchy's paths are relative to. Those of v1 are taken as they
// are, and refused if they lead out of our cgroup namespace: on v1, container runtimes leave
// everybody in the host's.
expected<std::optional<ContainerLocation>> locate_container(std::string_view cgroup,
                                                            const CgroupRoot& root = {});

}  // namespace nodepilot
