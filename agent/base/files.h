// Files, read with a bound and written whole or not at all.
// Thread: any; blocks on the disk, so call it at start or on a worker.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/base/secret.h"

namespace nodepilot {

// The whole of a regular file. A symlink as the last component, another kind of file, or more than
// `max_bytes` is an error that names the path.
expected<std::string> read_file(const std::filesystem::path& path, std::size_t max_bytes);

// The same for a private key: besides, the file must belong to this user or root and must not be
// readable by group or others (the error names the chmod or chown that mends it).
expected<SecretBytes> read_private_file(const std::filesystem::path& path, std::size_t max_bytes);

// `path` with its symbolic links resolved. For files that the operator names, which may be links
// (a Kubernetes volume shows all of its files so); never for files of our own.
expected<std::filesystem::path> real_path(const std::filesystem::path& path);

// The file at `path`, relative to `directory` and inside it: neither ".." nor a symbolic link leads
// out of it, whoever makes them and whenever, but links within it are followed, as Kubernetes
// mounts have them (openat2 with RESOLVE_BENEATH). In wiping memory: it may be a key.
expected<SecretBytes> read_file_beneath(const std::filesystem::path& directory,
                                        const std::filesystem::path& path, std::size_t max_bytes);

// The file that `path` names for who has `root` as its root directory: links, absolute ones too,
// are followed within it and lead nowhere else (openat2 with RESOLVE_IN_ROOT).
expected<SecretBytes> read_file_in_root(const Fd& root, const std::filesystem::path& path,
                                        std::size_t max_bytes);

// Writes a temporary file beside `path`, syncs it, renames it over `path`, syncs the directory.
// On an error the old file stays and no temporary is left.
expected<void> write_file_atomic(const std::filesystem::path& path, std::string_view bytes,
                                 mode_t mode = 0600);

// Keeps other agents that ask for the same out of `directory` until the result is closed. Waits for
// them, two seconds at most: kUnavailable.
expected<Fd> lock_directory(const std::filesystem::path& directory);

// Writes all of `bytes` to `fd`; `path` is for the error.
expected<void> write_all(int fd, std::string_view bytes, const std::filesystem::path& path);

// Creates `path` with `mode` if it is missing (its parent must exist). An existing directory must
// belong to this user and must not be open to others beyond `mode`.
expected<void> ensure_directory(const std::filesystem::path& path, mode_t mode);

}  // namespace nodepilot
