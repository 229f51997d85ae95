#include "attest/procfs.h"

#include <linux/magic.h>
#include <sys/vfs.h>

#include <cerrno>

#include "agent/base/files.h"
#include "agent/base/log.h"

namespace nodepilot {
namespace {

// linux/proc_ns.h: the inode of the pid namespace that the kernel began with.
constexpr ino_t kInitialPidNamespace = 0xEFFFFFFC;
constexpr std::size_t kMaxStatusBytes = std::size_t{1024} * 1024;

tl::unexpected<Error> refuse(const std::string& root, const std::string& why) {
  return fail(Code::kFailedPrecondition, "look at processes in " + quote(root) + ": " + why);
}

}  // namespace

expected<Procfs> Procfs::open(std::string root) {
  if (!root.starts_with('/')) return refuse(root, "must be an absolute path");
  struct statfs found {};
  if (::statfs(root.c_str(), &found) != 0) {
    return refuse(root, fail_errno("stat", errno).value().message);
  }
  if (found.f_type != PROC_SUPER_MAGIC) {
    return refuse(root, "is no procfs; HOST_PROC must name the mounted /proc of the host");
  }
  auto status = read_file(root + "/self/status", kMaxStatusBytes);
  auto depth = status ? parse_pid_namespaces(*status) : tl::unexpected(status.error());
  if (!depth) return refuse(root, depth.error().message);
  if (*depth != 1) {
    return refuse(root, "is of another pid namespace; run the agent in the host's (hostPID)");
  }
  return Procfs(std::move(root));
}

bool Procfs::is_of_the_host() const {
  auto own = status_of_file(root_ + "/self/ns/pid");
  return own && own->id.inode == kInitialPidNamespace;
}

}  // namespace nodepilot
