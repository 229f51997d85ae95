#include "attest/peer.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <cerrno>

#include "agent/base/files.h"
#include "attest/pidfd.h"
#include "attest/proc.h"

namespace nodepilot {
namespace {

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

// `before`: what an earlier look at the same process found, if there was one. In it stands what
// the cgroup of that ID is called, which spares us the slowest of the files.
expected<ProcessFacts> read_facts(pid_t pid, int pidfd, const ProcessFacts* before) {
  ProcDirectory directory(pid);
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
  facts.executable = TRY(directory.executable_id());
  bool cgroup_known = before != nullptr && facts.cgroup_id != 0 &&
                      facts.cgroup_id == before->cgroup_id && is_unified(before->cgroup);
  facts.cgroup = cgroup_known ? before->cgroup : TRY(directory.cgroup());
  return facts;
}

// Looking whether it lives comes after the reads: only then they were about this process and not
// about the next one with its pid.
expected<ProcessFacts> facts_of(pid_t pid, int pidfd, const ProcessFacts* before = nullptr) {
  auto facts = read_facts(pid, pidfd, before);
  if (!is_alive(pidfd)) return refuse(pid, "has exited");
  if (!facts) return refuse(pid, facts.error().message);
  return facts;
}

}  // namespace

expected<std::shared_ptr<const Peer>> Peer::of_socket(int socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return fail(Code::kUnavailable,
                fail_errno("get the peer's credentials", errno).value().message);
  }
  pid_t pid = credentials.pid;
  if (pid <= 0) return refuse(pid, "is outside our pid namespace (run with the host's)");
  if (stands_for_many(credentials.uid)) {
    return refuse(pid, "its uid is outside our user namespace (run in the initial one)");
  }

  auto pidfd = pidfd_of_peer(socket, pid);
  if (!pidfd) return refuse(pid, pidfd.error().message);
  auto facts = TRY(facts_of(pid, pidfd->get()));
  if (facts.uid != credentials.uid || facts.gid != credentials.gid) {
    return refuse(pid, fmt::format("connected as uid {} gid {}, but is now uid {} gid {}",
                                   credentials.uid, credentials.gid, facts.uid, facts.gid));
  }

  std::shared_ptr<Peer> peer(new Peer);
  peer->pid_ = pid;
  peer->pidfd_ = *std::move(pidfd);
  peer->facts_ = std::move(facts);
  return peer;
}

bool Peer::alive() const { return is_alive(pidfd_.get()); }

expected<void> Peer::check() const {
  auto now = TRY(facts_of(pid_, pidfd_.get(), &facts_));
  if (now == facts_) return {};
  std::string_view changed = "cgroup";
  if (now.gid != facts_.gid) changed = "gid";
  if (now.executable != facts_.executable) changed = "executable";
  if (now.uid != facts_.uid) changed = "uid";
  return refuse(pid_,
                fmt::format("its {} changed after it connected; it must connect again", changed));
}

}  // namespace nodepilot
