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

// In a user namespace of our own the overflow uid stands for every uid from outside it.
bool stands_for_many(uid_t uid) {
  auto overflow = read_file("/proc/sys/kernel/overflowuid", 64);
  if (std::to_string(uid) + "\n" != overflow.value_or("65534\n")) return false;
  auto map = read_file("/proc/self/uid_map", 64 * 1024);
  return !map || !maps_every_uid(*map);
}

expected<ProcessFacts> read_facts(pid_t pid) {
  auto directory = TRY(ProcDirectory::open(pid));
  auto status = TRY(directory.status());
  ProcessFacts facts;
  facts.uid = status.uid;
  facts.gid = status.gid;
  facts.cgroup = TRY(directory.cgroup());
  if (auto exe = TRY(directory.executable())) {
    auto file = TRY(status_of_file(exe.get(), ""));
    facts.exe_device = file.id.device;
    facts.exe_inode = file.id.inode;
  }
  return facts;
}

// Looking whether it lives comes after the reads: only then they were about this process and not
// about the next one with its pid.
expected<ProcessFacts> facts_of(pid_t pid, int pidfd) {
  auto facts = read_facts(pid);
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
  auto now = TRY(facts_of(pid_, pidfd_.get()));
  if (now == facts_) return {};
  std::string_view changed = "cgroup";
  if (now.gid != facts_.gid) changed = "gid";
  if (now.exe_device != facts_.exe_device || now.exe_inode != facts_.exe_inode) {
    changed = "executable";
  }
  if (now.uid != facts_.uid) changed = "uid";
  return refuse(pid_,
                fmt::format("its {} changed after it connected; it must connect again", changed));
}

}  // namespace nodepilot
