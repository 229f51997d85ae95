// Unix sockets that listen: made by us, or made by another and handed to us.
// Thread: any.
#pragma once

#include <sys/types.h>

#include <filesystem>

#include "agent/base/fd.h"
#include "agent/base/result.h"

namespace nodepilot {

// A new one at `path`, where nothing may be: non-blocking, accepting, and its connections tell who
// sends on them (SO_PASSCRED). On an error the path may be left.
expected<Fd> listen_at(const std::filesystem::path& path, mode_t mode);

// Whether `socket` is a Unix stream socket that listens and was bound at `path`; else
// kFailedPrecondition, which says what it is.
expected<void> check_listens_at(const Fd& socket, const std::filesystem::path& path);

// Makes it as listen_at() does. False if its connections did not tell who sends on them until now:
// those that wait already never will, and must be closed.
expected<bool> adapt_listening(const Fd& socket);

}  // namespace nodepilot
