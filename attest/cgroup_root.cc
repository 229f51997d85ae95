#include "attest/cgroup_root.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>

#include "agent/base/log.h"
#include "attest/cgroup_search.h"
#include "attest/pidfd.h"
#include "attest/proc.h"

namespace nodepilot {
namespace {

constexpr std::string_view kUp = "/..";
constexpr std::size_t kMaxPathBytes = 4096;

tl::unexpected<Error> refuse(const std::string& why) {
  return fail(Code::kFailedPrecondition, why);
}

// Takes off "/.." at the start, but not that of "/..a".
bool take_up(std::string_view& path) {
  if (!path.starts_with(kUp)) return false;
  if (path.size() > kUp.size() && path[kUp.size()] != '/') return false;
  path.remove_prefix(kUp.size());
  return true;
}

bool leads_up(std::string_view path) {
  while (!path.empty()) {
    if (take_up(path)) return true;
    std::size_t next = path.find('/', 1);
    path = next == std::string_view::npos ? std::string_view() : path.substr(next);
  }
  return false;
}

expected<void> check_form(std::string_view path) {
  if (!path.starts_with('/')) return refuse("it does not begin with a slash");
  if (path.size() > kMaxPathBytes) {
    return refuse(fmt::format("it is longer than {} bytes", kMaxPathBytes));
  }
  return {};
}

// Our own line of the unified hierarchy.
expected<std::string> own_path() {
  auto file = TRY(ProcDirectory(::getpid()).cgroup_file());
  std::string lines = "\n" + TRY(file.read());
  std::size_t start = lines.find("\n0::");
  std::size_t end = start == std::string::npos ? start : lines.find('\n', start + 1);
  if (end == std::string::npos) return refuse("the kernel shows us in no cgroup v2");
  return lines.substr(start + 4, end - start - 4);
}

expected<Fd> open_hierarchy(const std::filesystem::path& path) {
  Fd hierarchy(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!hierarchy) return fail_errno("open it", errno);
  struct statfs system {};
  if (::fstatfs(hierarchy.get(), &system) != 0) return fail_errno("stat it", errno);
  if (system.f_type != CGROUP2_SUPER_MAGIC) {
    return refuse("it is no cgroup v2 (on a host with both, that is its folder unified)");
  }
  return hierarchy;
}

// All cgroups have this file but the one at the root of the whole hierarchy.
bool is_part(const Fd& hierarchy) {
  struct stat status {};
  return ::fstatat(hierarchy.get(), "cgroup.type", &status, AT_SYMLINK_NOFOLLOW) == 0;
}

expected<CgroupRoot> find_in(const std::filesystem::path& path) {
  Fd hierarchy = TRY(open_hierarchy(path));
  CgroupSought sought{.process = ::getpid()};
  auto pidfd = open_pidfd(sought.process);
  auto info = pidfd ? info_of(pidfd->get()) : std::nullopt;
  if (info && info->cgroup_id != 0) sought.id = info->cgroup_id;
  auto on_host = TRY(find_cgroup(hierarchy, sought));
  auto shown = TRY(own_path());
  auto root = TRY(root_of_namespace(on_host, shown));
  if (root == *CgroupRoot::at("/") && is_part(hierarchy)) {
    return refuse("it shows no more than our own cgroup namespace; mount the host's there");
  }
  return root;
}

}  // namespace

expected<CgroupRoot> CgroupRoot::at(std::string_view path) {
  TRY(check_form(path));
  if (path == "/") return CgroupRoot(std::string());
  if (path.ends_with('/') || path.find("//") != std::string_view::npos || leads_up(path)) {
    return refuse("it is not spelled as the kernel does");
  }
  return CgroupRoot(std::string(path));
}

expected<CgroupRoot> root_of_namespace(std::string_view on_host, std::string_view shown) {
  TRY(check_form(shown));
  if (leads_up(shown)) return refuse("we were moved out of our own cgroup namespace");
  if (shown == "/") return CgroupRoot::at(on_host);
  if (!on_host.ends_with(shown)) return refuse("we were moved to another cgroup meanwhile");
  on_host.remove_suffix(shown.size());
  return CgroupRoot::at(on_host.empty() ? "/" : on_host);
}

expected<CgroupRoot> CgroupRoot::find(const std::filesystem::path& hierarchy) {
  auto found = find_in(hierarchy);
  if (found) return found;
  return refuse(fmt::format("look for our own cgroup in {} (attestors.host_cgroup): {}",
                            quote(hierarchy.string()), found.error().message));
}

expected<std::string> CgroupRoot::resolve(std::string_view path) const {
  TRY(check_form(path));
  if (!path_) {
    if (!take_up(path)) return std::string(path);
    return refuse(
        "it lies outside our own cgroup namespace: set attestors.host_cgroup to where the host's "
        "/sys/fs/cgroup is mounted, or run the agent in the host's cgroup namespace");
  }
  std::string_view base = *path_;
  while (take_up(path)) {
    if (base.empty()) return refuse("it leads above the root of the hierarchy");
    base = base.substr(0, base.rfind('/'));
  }
  if (leads_up(path)) return refuse("\"..\" stands in its middle");
  std::string_view rest = path == "/" ? std::string_view() : path;
  if (base.empty() && rest.empty()) return "/";
  return fmt::format("{}{}", base, rest);
}

}  // namespace nodepilot
