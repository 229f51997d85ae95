#include "rotation/outputs/file_owner.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <vector>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

constexpr std::size_t kMaxRecordBytes = std::size_t{1024} * 1024;

std::optional<std::uint32_t> as_number(const std::string& text) {
  std::uint32_t number = 0;
  auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  return number;
}

// What `look_up(name, record, buffer, size, result)`, a getpwnam_r or getgrnam_r, finds.
template <class Record, class LookUp, class Id>
expected<std::uint32_t> find_id(const char* kind, const std::string& name, LookUp look_up,
                                Id Record::*id) {
  if (auto number = as_number(name)) return *number;
  std::vector<char> buffer(4096);
  Record record{};
  Record* found = nullptr;
  int error = 0;
  while ((error = look_up(name.c_str(), &record, buffer.data(), buffer.size(), &found)) == ERANGE &&
         buffer.size() < kMaxRecordBytes) {
    buffer.resize(buffer.size() * 2);
  }
  if (found != nullptr) return record.*id;
  return fail(Code::kFailedPrecondition, std::string("there is no ") + kind + " " + quote(name));
}

bool may_chown() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, 2> data{};
  if (::syscall(SYS_capget, &header, data.data()) != 0) return false;
  return (data[0].effective & (1U << CAP_CHOWN)) != 0;
}

bool is_member(gid_t gid) {
  if (gid == ::getegid()) return true;
  int count = ::getgroups(0, nullptr);
  std::vector<gid_t> groups(static_cast<std::size_t>(std::max(count, 0)));
  count = ::getgroups(static_cast<int>(groups.size()), groups.data());
  auto end = groups.begin() + std::max(count, 0);
  return std::find(groups.begin(), end, gid) != end;
}

std::string own_name() { return "this process (uid " + std::to_string(::geteuid()) + ")"; }

}  // namespace

expected<FileOwnerIds> find_owner(const FileOwner& owner) {
  FileOwnerIds ids;
  if (!owner.user.empty()) {
    ids.uid = TRY(find_id<passwd>("user", owner.user, ::getpwnam_r, &passwd::pw_uid));
    if (*ids.uid != ::geteuid() && !may_chown()) {
      return fail(Code::kFailedPrecondition,
                  "owner " + quote(owner.user) + ": " + own_name() +
                      " may not give files to another user: that takes CAP_CHOWN; use a group that "
                      "both are in, and a key_mode of 0640");
    }
  }
  if (!owner.group.empty()) {
    ids.gid = TRY(find_id<group>("group", owner.group, ::getgrnam_r, &group::gr_gid));
    if (!is_member(*ids.gid) && !may_chown()) {
      return fail(Code::kFailedPrecondition,
                  "group " + quote(owner.group) + ": " + own_name() +
                      " is not in it and may not give files to it: make it a member "
                      "(SupplementaryGroups= in the unit)");
    }
  }
  return ids;
}

expected<void> give_file(int fd, const FileOwnerIds& owner, mode_t mode, const std::string& path) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return fail_errno("stat " + path, errno);
  // Only what differs: a sandbox may forbid chown altogether. The user comes last, for afterwards
  // the file is not ours to change.
  constexpr auto kSameUser = static_cast<uid_t>(-1);
  constexpr auto kSameGroup = static_cast<gid_t>(-1);
  bool other_group = owner.gid && *owner.gid != status.st_gid;
  if (other_group && ::fchown(fd, kSameUser, *owner.gid) != 0) {
    return fail_errno("chgrp " + std::to_string(*owner.gid) + " " + path, errno);
  }
  if (::fchmod(fd, mode) != 0) return fail_errno("chmod " + path, errno);
  bool other_user = owner.uid && *owner.uid != status.st_uid;
  if (other_user && ::fchown(fd, *owner.uid, kSameGroup) != 0) {
    return fail_errno("chown " + std::to_string(*owner.uid) + " " + path, errno);
  }
  return {};
}

}  // namespace nodepilot
