#include "attest/container_path.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <vector>

namespace nodepilot {
namespace {

using Name = std::string_view;
using Names = std::span<const Name>;  // of the cgroups, from the root on

constexpr std::size_t kIdDigits = 64;
// A row of hex digits this long is an id or a broken one.
constexpr std::size_t kSuspiciousDigits = 48;

// The services of root in whose own cgroup their containerd makes pods.
constexpr std::array<Name, 5> kPodServices = {"containerd.service", "k3s.service",
                                              "k3s-agent.service", "rke2-server.service",
                                              "rke2-agent.service"};
constexpr std::array<Name, 2> kQualities = {"burstable", "besteffort"};  // guaranteed: none

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

bool is_id(Name text) {
  return text.size() == kIdDigits && std::all_of(text.begin(), text.end(), is_hex);
}

// "8-4-4-4-12" with `dash` between, or the 32 digits of a static pod. Dashed, or as it is.
std::optional<std::string> pod_uid_of(Name text, char dash) {
  constexpr std::array<std::size_t, 4> kDashes = {8, 13, 18, 23};
  std::string uid(text);
  if (text.size() == 36) {
    for (std::size_t at : kDashes) {
      if (text[at] != dash) return std::nullopt;
      uid[at] = '-';
    }
  } else if (text.size() != 32) {
    return std::nullopt;
  }
  for (std::size_t i = 0; i < uid.size(); ++i) {
    bool is_dash = uid.size() == 36 && std::count(kDashes.begin(), kDashes.end(), i) > 0;
    if (!is_dash && !is_hex(uid[i])) return std::nullopt;
  }
  return uid;
}

bool take_prefix(Name& text, Name prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

bool take_suffix(Name& text, Name suffix) {
  if (!text.ends_with(suffix)) return false;
  text.remove_suffix(suffix.size());
  return true;
}

bool take(Names& names, Name name) {
  if (names.empty() || names.front() != name) return false;
  names = names.subspan(1);
  return true;
}

// PREFIX + id + SUFFIX, the name of a container's own cgroup.
struct ContainerName {
  Name prefix;
  ContainerRuntime runtime;
};
constexpr std::array<ContainerName, 4> kContainerNames = {{
    {"docker-", ContainerRuntime::kDocker},
    {"libpod-", ContainerRuntime::kPodman},
    {"cri-containerd-", ContainerRuntime::kContainerd},
    {"crio-", ContainerRuntime::kCrio},
}};

// The container of a name such as "docker-ID.scope".
std::optional<ContainerLocation> container_of_scope(Name name) {
  if (!take_suffix(name, ".scope")) return std::nullopt;
  for (const auto& [prefix, runtime] : kContainerNames) {
    Name id = name;
    if (take_prefix(id, prefix) && is_id(id))
      return ContainerLocation{{}, std::string(id), runtime};
  }
  return std::nullopt;
}

// What a layout found: the container, and the names below it. Empty if it is not that layout.
struct Match {
  ContainerLocation location;
  Names below;
};
using Found = std::optional<Match>;

Found cgroupfs_pod(Names names) {
  take(names, "kubelet");
  if (!take(names, "kubepods")) return std::nullopt;
  if (!take(names, "burstable")) take(names, "besteffort");
  if (names.size() < 2) return std::nullopt;
  Name pod = names[0];
  Name id = names[1];
  auto uid = take_prefix(pod, "pod") ? pod_uid_of(pod, '-') : std::nullopt;
  auto runtime = take_prefix(id, "crio-") ? ContainerRuntime::kCrio : ContainerRuntime::kUnknown;
  if (!uid || !is_id(id)) return std::nullopt;
  return Match{{*uid, std::string(id), runtime}, names.subspan(2)};
}

// The pod of "PREFIXkubepods-QOS-podUID.slice", whose parent slice is `parent` + ".slice".
std::optional<std::string> pod_of_slice(Name slice, const std::string& parent) {
  bool named = take_prefix(slice, parent) && take_prefix(slice, "-pod");
  return named && take_suffix(slice, ".slice") ? pod_uid_of(slice, '_') : std::nullopt;
}

Found systemd_pod(Names names) {
  std::string parent = take(names, "kubelet.slice") ? "kubelet-kubepods" : "kubepods";
  if (!take(names, parent + ".slice")) return std::nullopt;
  for (Name quality : kQualities) {
    std::string child = fmt::format("{}-{}", parent, quality);
    if (!take(names, child + ".slice")) continue;
    parent = child;
    break;
  }
  if (names.size() < 2) return std::nullopt;
  auto uid = pod_of_slice(names[0], parent);
  auto location = container_of_scope(names[1]);
  if (!uid || !location || location->runtime == ContainerRuntime::kPodman) return std::nullopt;
  location->pod_uid = *uid;
  return Match{*location, names.subspan(2)};
}

// A kubelet that names slices, over a containerd that was told to make no slices of them.
Found containerd_pod(Names names) {
  if (take(names, "system.slice")) {
    if (names.empty() || std::count(kPodServices.begin(), kPodServices.end(), names[0]) == 0) {
      return std::nullopt;
    }
    names = names.subspan(1);
  }
  if (names.empty()) return std::nullopt;
  Name slice = names[0];
  std::size_t colon = slice.find(':');
  if (colon == Name::npos) return std::nullopt;
  Name id = slice.substr(colon);
  slice = slice.substr(0, colon);
  if (!take_prefix(id, ":cri-containerd:") || !is_id(id)) return std::nullopt;

  auto uid = pod_of_slice(slice, "kubepods");
  for (Name quality : kQualities) {
    if (!uid) uid = pod_of_slice(slice, fmt::format("kubepods-{}", quality));
  }
  if (!uid) return std::nullopt;
  return Match{{*uid, std::string(id), ContainerRuntime::kContainerd}, names.subspan(1)};
}

Found cgroupfs_docker(Names names) {
  if (!take(names, "docker") || names.empty() || !is_id(names[0])) return std::nullopt;
  return Match{{{}, std::string(names[0]), ContainerRuntime::kDocker}, names.subspan(1)};
}

Found cgroupfs_podman(Names names) {
  if (!take(names, "libpod_parent")) return std::nullopt;
  if (names.size() > 1 && is_id(names[0])) names = names.subspan(1);  // Podman's own sort of pod
  if (names.empty()) return std::nullopt;
  Name id = names[0];
  if (!take_prefix(id, "libpod-") || !is_id(id)) return std::nullopt;
  return Match{{{}, std::string(id), ContainerRuntime::kPodman}, names.subspan(1)};
}

// systemd delegates services and scopes, but no slices: in a row of slices from the root on, every
// name was made by root.
Found scope_below_slices(Names names) {
  while (!names.empty() && names[0].ends_with(".slice")) {
    if (names[0].find("kubepods") != Name::npos) return std::nullopt;
    names = names.subspan(1);
  }
  if (names.empty()) return std::nullopt;
  auto location = container_of_scope(names[0]);
  if (!location || (location->runtime != ContainerRuntime::kDocker &&
                    location->runtime != ContainerRuntime::kPodman)) {
    return std::nullopt;
  }
  return Match{*location, names.subspan(1)};
}

// N of "user@N.service", in user.slice and user-N.slice.
std::optional<uid_t> user_manager_of(Names names) {
  if (names.size() < 3) return std::nullopt;
  Name digits = names[2];
  if (!take_prefix(digits, "user@") || !take_suffix(digits, ".service")) return std::nullopt;
  uid_t uid = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), uid);
  bool belongs = names[0] == "user.slice" && names[1] == fmt::format("user-{}.slice", uid) &&
                 names[2] == fmt::format("user@{}.service", uid);
  return belongs ? std::optional(uid) : std::nullopt;
}

Found rootless(Names names) {
  auto uid = user_manager_of(names);
  if (!uid) return std::nullopt;
  auto found = scope_below_slices(names.subspan(3));
  if (found) found->location.rootless_uid = uid;
  return found;
}

// Whether it may be meant for the name of a pod or a container, a broken one too.
bool looks_like_container(Name name) {
  std::size_t row = 0;
  for (char c : name) {
    row = is_hex(c) || (c >= 'A' && c <= 'F') ? row + 1 : 0;
    if (row >= kSuspiciousDigits) return true;
  }
  bool scope = name.ends_with(".scope");
  return name.find("kubepods") != Name::npos ||
         std::any_of(kContainerNames.begin(), kContainerNames.end(), [&](const auto& container) {
           return scope && name.starts_with(container.prefix);
         });
}

bool any_looks_like_container(Names names) {
  return std::any_of(names.begin(), names.end(), looks_like_container);
}

tl::unexpected<Error> doubt(std::string why) {
  return fail(Code::kFailedPrecondition, std::move(why));
}

expected<std::vector<Name>> names_of(std::string_view path) {
  if (!path.starts_with('/')) return doubt("it does not begin with a slash");
  std::vector<Name> names;
  if (path == "/") return names;
  while (!path.empty()) {
    path.remove_prefix(1);
    Name name = path.substr(0, path.find('/'));
    path.remove_prefix(name.size());
    if (name == "..") {
      return doubt("it lies outside our own cgroup namespace");
    }
    if (name.empty() || name == ".") return doubt("it holds an empty name");
    names.push_back(name);
  }
  if (names.back().ends_with(" (deleted)")) return doubt("that cgroup was removed");
  return names;
}

}  // namespace

expected<std::optional<ContainerLocation>> container_in_path(std::string_view path) {
  auto names = TRY(names_of(path));
  for (auto* layout : {cgroupfs_pod, systemd_pod, containerd_pod, cgroupfs_docker, cgroupfs_podman,
                       scope_below_slices, rootless}) {
    auto found = layout(names);
    if (!found) continue;
    if (any_looks_like_container(found->below)) {
      return doubt(fmt::format("container {} holds another one", found->location.container_id));
    }
    return found->location;
  }
  bool engines_own = !names.empty() && (names[0] == "docker" || names[0] == "libpod_parent");
  if ((engines_own && names.size() > 1) || any_looks_like_container(names)) {
    return doubt("it looks like a container's, but stands where no engine run by root makes them");
  }
  return std::nullopt;
}

bool is_below_user_manager(std::string_view path) {
  auto names = names_of(path);
  return names && user_manager_of(*names).has_value();
}

}  // namespace nodepilot
