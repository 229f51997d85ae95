#include "agent/base/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <thread>

#include "agent/base/fd.h"

namespace nodepilot {
namespace fs = std::filesystem;
namespace {

struct OpenFile {
  Fd fd;
  struct stat status {};
};

constexpr std::chrono::milliseconds kLongestLockWait{2000};
constexpr std::chrono::milliseconds kLockPause{10};

// O_NONBLOCK: a FIFO planted under this name must not hang us.
constexpr int kReadOnly = O_RDONLY | O_CLOEXEC | O_NONBLOCK;

expected<OpenFile> require_regular(Fd fd, const fs::path& path) {
  OpenFile file{.fd = std::move(fd)};
  if (::fstat(file.fd.get(), &file.status) != 0) return fail_errno("stat " + path.string(), errno);
  if (!S_ISREG(file.status.st_mode)) {
    return fail(Code::kFailedPrecondition, "open " + path.string() + ": not a regular file");
  }
  return file;
}

expected<OpenFile> open_regular(const fs::path& path) {
  Fd fd(::open(path.c_str(), kReadOnly | O_NOFOLLOW));
  if (!fd) {
    if (errno == ELOOP)
      return fail(Code::kFailedPrecondition,
                  "open " + path.string() + ": is a symbolic link; name the file itself");
    return fail_errno("open " + path.string(), errno);
  }
  return require_regular(std::move(fd), path);
}

// For reading, and with no way around `resolve`; errno tells why not.
Fd open_within(const Fd& folder, const fs::path& path, std::uint64_t resolve) {
  struct open_how how {};
  how.flags = kReadOnly;
  how.resolve = resolve | RESOLVE_NO_MAGICLINKS;
  return Fd(
      static_cast<int>(::syscall(SYS_openat2, folder.get(), path.c_str(), &how, sizeof(how))));
}

expected<OpenFile> open_beneath(const fs::path& directory, const fs::path& path) {
  fs::path whole = directory / path;
  Fd folder(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return fail_errno("open " + directory.string(), errno);
  Fd fd = open_within(folder, path, RESOLVE_BENEATH);
  if (!fd) {
    if (errno == EXDEV) {
      return fail(Code::kPermissionDenied,
                  "open " + whole.string() + ": leads out of " + directory.string());
    }
    return fail_errno("open " + whole.string(), errno);
  }
  return require_regular(std::move(fd), whole);
}

template <class Bytes>
expected<Bytes> read_all(const OpenFile& file, const fs::path& path, std::size_t max_bytes) {
  Bytes bytes;
  // Files in /proc say size 0, so the size is only a hint. Growing would leave copies of a secret
  // behind in plain std::string, but SecretBytes wipes what it outgrows.
  bytes.resize(std::min<std::size_t>(max_bytes, std::max<std::size_t>(file.status.st_size, 4096)) +
               1);
  std::size_t length = 0;
  while (true) {
    ssize_t n = ::read(file.fd.get(), bytes.data() + length, bytes.size() - length);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read " + path.string(), errno);
    if (n == 0) break;
    length += static_cast<std::size_t>(n);
    if (length > max_bytes) {
      return fail(Code::kResourceExhausted,
                  fmt::format("read {}: larger than {} bytes", path.string(), max_bytes));
    }
    if (length == bytes.size()) bytes.resize(std::min(max_bytes + 1, bytes.size() * 2));
  }
  bytes.resize(length);
  return bytes;
}

expected<void> write_synced(int fd, std::string_view bytes, mode_t mode, const fs::path& path) {
  // The umask may have taken bits away from the mode given to open().
  if (::fchmod(fd, mode) != 0) return fail_errno("chmod " + path.string(), errno);
  TRY(write_all(fd, bytes, path));
  if (::fsync(fd) != 0) return fail_errno("sync " + path.string(), errno);
  return {};
}

}  // namespace

expected<std::string> read_file(const fs::path& path, std::size_t max_bytes) {
  auto file = TRY(open_regular(path));
  return read_all<std::string>(file, path, max_bytes);
}

expected<SecretBytes> read_private_file(const fs::path& path, std::size_t max_bytes) {
  auto file = TRY(open_regular(path));
  if (file.status.st_uid != ::geteuid() && file.status.st_uid != 0) {
    return fail(
        Code::kFailedPrecondition,
        fmt::format("{}: belongs to uid {}; a private key must belong to uid {} or root: "
                    "chown {} {}",
                    path.string(), file.status.st_uid, ::geteuid(), ::geteuid(), path.string()));
  }
  if ((file.status.st_mode & 077) != 0) {
    return fail(Code::kFailedPrecondition,
                fmt::format("{}: mode {:04o} lets others read a private key: chmod 0600 {}",
                            path.string(), file.status.st_mode & 07777, path.string()));
  }
  return read_all<SecretBytes>(file, path, max_bytes);
}

expected<fs::path> real_path(const fs::path& path) {
  std::error_code error;
  fs::path real = fs::canonical(path, error);
  if (!error) return real;
  return fail_errno("open " + path.string(), error.value());
}

expected<SecretBytes> read_file_beneath(const fs::path& directory, const fs::path& path,
                                        std::size_t max_bytes) {
  auto file = TRY(open_beneath(directory, path));
  return read_all<SecretBytes>(file, directory / path, max_bytes);
}

expected<SecretBytes> read_file_in_root(const Fd& root, const fs::path& path,
                                        std::size_t max_bytes) {
  Fd fd = open_within(root, path, RESOLVE_IN_ROOT);
  if (!fd) return fail_errno("open " + path.string(), errno);
  auto file = TRY(require_regular(std::move(fd), path));
  return read_all<SecretBytes>(file, path, max_bytes);
}

expected<void> write_file_atomic(const fs::path& path, std::string_view bytes, mode_t mode) {
  fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  Fd directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return fail_errno("open " + folder.string(), errno);

  std::string name = path.filename().string();
  // In containers every agent has the same pid, and two may share a directory.
  std::uint32_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != sizeof number) {
    return fail_errno("get random bytes", errno);
  }
  std::string temporary = fmt::format(".{}.{}{:010}.tmp", name, ::getpid(), number);
  Fd file(::openat(directory.get(), temporary.c_str(),
                   O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return fail_errno("create " + (folder / temporary).string(), errno);

  auto written = write_synced(file.get(), bytes, mode, path);
  if (written &&
      ::renameat(directory.get(), temporary.c_str(), directory.get(), name.c_str()) != 0) {
    written = fail_errno("rename to " + path.string(), errno);
  }
  if (!written) {
    ::unlinkat(directory.get(), temporary.c_str(), 0);
    return written;
  }
  if (::fsync(directory.get()) != 0) return fail_errno("sync " + folder.string(), errno);
  return {};
}

expected<Fd> lock_directory(const fs::path& directory) {
  Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return fail_errno("open " + directory.string(), errno);
  for (auto left = kLongestLockWait; ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0;
       left -= kLockPause) {
    if (errno != EWOULDBLOCK) return fail_errno("lock " + directory.string(), errno);
    if (left.count() <= 0) {
      return fail(Code::kUnavailable, "lock " + directory.string() + ": another agent holds it");
    }
    std::this_thread::sleep_for(kLockPause);
  }
  return fd;
}

expected<void> write_all(int fd, std::string_view bytes, const fs::path& path) {
  while (!bytes.empty()) {
    ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("write " + path.string(), errno);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

expected<void> ensure_directory(const fs::path& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) == 0) {
    // mkdir() obeys the umask; the mode asked for is what counts.
    if (::chmod(path.c_str(), mode) != 0) return fail_errno("chmod " + path.string(), errno);
    return {};
  }
  if (errno != EEXIST) return fail_errno("create directory " + path.string(), errno);

  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return fail_errno("stat " + path.string(), errno);
  if (!S_ISDIR(status.st_mode)) {
    return fail(Code::kFailedPrecondition, path.string() + ": not a directory");
  }
  if (status.st_uid != ::geteuid()) {
    return fail(
        Code::kFailedPrecondition,
        fmt::format("{}: belongs to uid {}, but this process is uid {}: chown {} {}, or name "
                    "another directory",
                    path.string(), status.st_uid, ::geteuid(), ::geteuid(), path.string()));
  }
  mode_t extra = status.st_mode & 0777 & ~mode;
  if (extra != 0) {
    return fail(Code::kFailedPrecondition,
                fmt::format("{}: mode {:04o} is too open: chmod {:04o} {}", path.string(),
                            status.st_mode & 07777, mode, path.string()));
  }
  return {};
}

}  // namespace nodepilot
