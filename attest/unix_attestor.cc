#include "attest/unix_attestor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <linux/limits.h>
#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "agent/base/sha256.h"
#include "attest/proc.h"

namespace nodepilot {
namespace {

// The members of a group come with its name, so its record may be long.
constexpr std::size_t kMaxRecordBytes = std::size_t{1024} * 1024;

// Leaves out what no entry could name: an empty value, or one with control characters.
void add(Selectors& found, std::string_view key, std::string_view value) {
  if (value.empty()) return;
  auto selector = Selector::parse(fmt::format("unix:{}:{}", key, value));
  if (selector) found.insert(*std::move(selector));
}

// The name in the record that `look_up` (getpwuid_r, getgrgid_r) finds; empty if there is none.
template <class Record, class LookUp>
std::string name_of(LookUp look_up, unsigned id, char* Record::*name) {
  for (std::vector<char> buffer(1024);; buffer.resize(buffer.size() * 4)) {
    Record record{};
    Record* found = nullptr;
    int error = look_up(id, &record, buffer.data(), buffer.size(), &found);
    if (error == ERANGE && buffer.size() < kMaxRecordBytes) continue;
    if (error != 0 || found == nullptr) return {};
    return found->*name;
  }
}

std::string user_name(uid_t uid) { return name_of(::getpwuid_r, uid, &passwd::pw_name); }
std::string group_name(gid_t gid) { return name_of(::getgrgid_r, gid, &group::gr_name); }

void add_ids(Selectors& found, const Peer& peer, const std::vector<gid_t>& groups) {
  add(found, "uid", std::to_string(peer.uid()));
  add(found, "gid", std::to_string(peer.gid()));
  for (gid_t gid : groups) add(found, "supplementary_gid", std::to_string(gid));
}

void add_names(Selectors& found, const Peer& peer, const std::vector<gid_t>& groups) {
  add(found, "user", user_name(peer.uid()));
  add(found, "group", group_name(peer.gid()));
  for (gid_t gid : groups) add(found, "supplementary_group", group_name(gid));
}

// The path of an open file; empty if it is too long to be known. The kernel marks a file that lost
// its name with " (deleted)", but a file may also be called so. The mark is never taken off: what
// was deleted or replaced must not pass for what now has its name, and with the mark it does not.
std::string path_of(int fd) {
  std::string path(PATH_MAX, '\0');
  ssize_t length =
      ::readlink(fmt::format("/proc/self/fd/{}", fd).c_str(), path.data(), path.size());
  if (length <= 0 || static_cast<std::size_t>(length) == path.size()) return {};
  path.resize(static_cast<std::size_t>(length));
  return path;
}

// Empty if we may not read it.
expected<std::string> hash_of(int exe, std::size_t max_bytes) {
  // By the open file, not by its name: the name may stand for another file by now.
  Fd file(::open(fmt::format("/proc/self/fd/{}", exe).c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) {
    if (errno == EACCES || errno == EPERM) return std::string();
    return fail_errno("open the executable", errno);
  }
  return sha256_hex(file.get(), max_bytes);
}

}  // namespace

expected<Selectors> UnixAttestor::attest(const Peer& peer) const {
  const ProcDirectory& directory = peer.directory();
  Selectors found;
  auto groups = TRY(directory.status()).groups;
  add_ids(found, peer, groups);
  if (options_.look_up_names) add_names(found, peer, groups);

  auto exe = TRY(directory.executable());
  if (!exe) return found;
  auto file = TRY(status_of_file(exe));
  // A process that runs another program for just this moment would get that one's path.
  if (file.id != peer.facts().executable) {
    return fail(Code::kUnavailable,
                fmt::format("process {}: its executable changed after it connected", peer.pid()));
  }
  if (file.links > 0) add(found, "path", path_of(exe.get()));
  if (options_.hash_executable) {
    auto digest = hash_of(exe.get(), options_.max_hash_bytes);
    if (!digest) return fail_with(fmt::format("process {}", peer.pid()), digest.error());
    add(found, "sha256", *digest);
  }
  return found;
}

}  // namespace nodepilot
