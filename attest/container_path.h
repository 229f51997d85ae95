// The layouts in which container engines and the kubelet name the cgroups of containers.
// Thread: any.
#pragma once

#include <optional>
#include <string_view>

#include "attest/container.h"

namespace nodepilot {

// The container that the path of one cgroup names, see locate_container(). `path` is as the kernel
// shows it: "/docker/0123…". kFailedPrecondition if it is in doubt; the error does not repeat it.
//
//   [/kubelet]/kubepods[/burstable|/besteffort]/podUID/[crio-]ID
//   [/kubelet.slice]/kubepods.slice/kubepods-QOS.slice/kubepods-QOS-podUID.slice/RUNTIME-ID.scope
//   [/system.slice/containerd.service]/kubepods-QOS-podUID.slice:cri-containerd:ID
//   /docker/ID
//   /libpod_parent[/POD]/libpod-ID
//   any slices, then /docker-ID.scope or /libpod-ID.scope
//   /user.slice/user-N.slice/user@N.service, any slices, then the same: rootless
//
// Each with any further cgroups below. The `kubelet` is that of a cluster within a container.
expected<std::optional<ContainerLocation>> container_in_path(std::string_view path);

// Whether it is below some user's systemd instance, where that user makes the names.
bool is_below_user_manager(std::string_view path);

}  // namespace nodepilot
