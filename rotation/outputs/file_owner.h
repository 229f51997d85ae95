// Whose the written files shall be, as numbers.
#pragma once

#include <sys/types.h>

#include <optional>

#include "agent/base/result.h"
#include "rotation/outputs/output.h"

namespace nodepilot {

struct FileOwnerIds {
  std::optional<uid_t> uid;  // empty: as it comes
  std::optional<gid_t> gid;
};

// Looks the names up. kFailedPrecondition if there is no such user or group, or if this process
// may not give files away to it: a user takes CAP_CHOWN, a group that or to be a member.
// Thread: any; blocks on the name service.
expected<FileOwnerIds> find_owner(const FileOwner& owner);

// Gives the open file to its owner, with `mode`. At no time can more than both allow read it.
// `path` is for the error. Thread: any.
expected<void> give_file(int fd, const FileOwnerIds& owner, mode_t mode, const std::string& path);

}  // namespace nodepilot
