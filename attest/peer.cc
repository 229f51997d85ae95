#include "attest/peer.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <cerrno>

#include "agent/base/files.h"
#include "attest/pidfd.h"
#include "attest/proc.h"

namespace nodepilot {
namespace {

constexpr const char* kForeignUid =
    "its uid is outside our user namespace (run in the initial one)";

tl::unexpected<Error> refuse(pid_t pid, std::string_view why) {
  return fail(Code::kUnavailable, fmt::format("peer process {}: {}", pid, why));
}

bool sees_every_uid() {
  auto map = read_file("/proc/self/uid_map", 64 * 1024);
  return map && maps_every_uid(*map);
}

// In a user namespace of our own the overflow uid stands for every uid from outside it.
bool stands_for_many(uid_t uid) {
  static const bool sees_all = sees_every_uid();  // a map that is set never changes
  if (sees_all) return false;
  auto overflow = read_file("/proc/sys/kernel/overflowuid", 64);
  return std::to_string(uid) + "\n" == overflow.value_or("65534\n");
}

// All zero if we may not look at it. A process without its main thread has none, and nothing that
// is told of it is true of the threads that are left: they may have become another user.
expected<FileId> executable_of(const ProcDirectory& directory) {
  auto executable = directory.executable_id();
  bool gone = !executable && executable.error().code == Code::kNotFound;
  if (executable == FileId()) gone = !TRY(directory.has_main_thread());
  if (gone) return fail(Code::kUnavailable, "its main thread has exited");
  return executable;
}

// All but the names of the cgroups.
expected<ProcessFacts> facts_of(const ProcDirectory& directory, int pidfd) {
  ProcessFacts facts;
  if (auto info = info_of(pidfd)) {
    facts.uid = info->uid;
    facts.gid = info->gid;
    facts.cgroup_id = info->cgroup_id;
  } else {
    auto status = TRY(directory.status());
    facts.uid = status.uid;
    facts.gid = status.gid;
  }
  facts.executable = TRY(executable_of(directory));
  return facts;
}

// What was found by a look at the process. That it lives is asked after the look: only then it was
// about this process and not about the next one with its pid.
template <class Found>
expected<Found> of_living(pid_t pid, int pidfd, expected<Found> found) {
  if (!is_alive(pidfd)) return refuse(pid, "has exited");
  if (!found) return refuse(pid, found.error().message);
  return found;
}

}  // namespace

expected<std::shared_ptr<const Peer>> Peer::of_socket(int socket, const Procfs& procfs) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return fail(Code::kUnavailable,
                fail_errno("get the peer's credentials", errno).value().message);
  }
  pid_t pid = credentials.pid;
  if (pid <= 0) return refuse(pid, "is outside our pid namespace (run with the host's)");
  if (stands_for_many(credentials.uid)) {
    return refuse(pid, kForeignUid);
  }

  ProcDirectory directory = procfs.process(pid);
  auto pidfd = pidfd_of_peer(socket, pid, directory);
  if (!pidfd) return refuse(pid, pidfd.error().message);
  std::shared_ptr<Peer> peer(new Peer(pid, *std::move(pidfd), std::move(directory)));
  TRY(of_living(pid, peer->pidfd(), peer->look()));
  const ProcessFacts& facts = peer->facts_;
  if (facts.uid != credentials.uid || facts.gid != credentials.gid) {
    return refuse(pid, fmt::format("connected as uid {} gid {}, but is now uid {} gid {}",
                                   credentials.uid, credentials.gid, facts.uid, facts.gid));
  }
  return peer;
}

expected<std::shared_ptr<const Peer>> Peer::of_process(pid_t pid, const Procfs& procfs) {
  if (pid <= 0) return fail(Code::kInvalidArgument, fmt::format("{} is no pid", pid));
  Fd pidfd = TRY(open_pidfd(pid));
  std::shared_ptr<Peer> peer(new Peer(pid, std::move(pidfd), procfs.process(pid)));
  TRY(of_living(pid, peer->pidfd(), peer->look()));
  if (stands_for_many(peer->uid())) return refuse(pid, kForeignUid);
  return peer;
}

expected<void> Peer::look() {
  facts_ = TRY(facts_of(directory_, pidfd_.get()));
  auto cgroup_file = TRY(directory_.cgroup_file());
  facts_.cgroup = TRY(cgroup_file.read());
  bool id_tells_all = facts_.cgroup_id != 0 && is_unified(facts_.cgroup);
  if (!id_tells_all) cgroup_file_ = std::move(cgroup_file);
  return {};
}

bool Peer::alive() const { return is_alive(pidfd_.get()); }

expected<std::string_view> Peer::changed() const {
  auto now = TRY(facts_of(directory_, pidfd_.get()));
  if (now.uid != facts_.uid) return "uid";
  if (now.executable != facts_.executable) return "executable";
  if (now.gid != facts_.gid) return "gid";
  if (now.cgroup_id != facts_.cgroup_id) return "cgroup";
  if (cgroup_file_ && !TRY(cgroup_file_->still_reads(facts_.cgroup))) return "cgroup";
  return "";
}

expected<void> Peer::check() const {
  auto what = TRY(of_living(pid_, pidfd_.get(), changed()));
  if (what.empty()) return {};
  return refuse(pid_,
                fmt::format("its {} changed after it connected; it must connect again", what));
}

}  // namespace nodepilot
