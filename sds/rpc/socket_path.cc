#include "sds/rpc/socket_path.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace nodepilot {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxBytes = sizeof(sockaddr_un::sun_path) - sizeof(".new");

fs::path beside(const fs::path& path, const char* suffix) { return path.string() + suffix; }

fs::path temporary(const fs::path& path) { return beside(path, ".new"); }

tl::unexpected<Error> unusable(const fs::path& path, const std::string& why) {
  return fail(Code::kFailedPrecondition, "socket " + path.string() + ": " + why);
}

expected<void> check_name(const fs::path& path) {
  if (!path.has_filename()) return unusable(path, "the path names no file");
  if (path.native().size() > kMaxBytes) {
    return unusable(path, "the path has " + std::to_string(path.native().size()) +
                              " bytes; the kernel's addresses leave room for " +
                              std::to_string(kMaxBytes) + ": choose a shorter one");
  }
  return {};
}

// Whoever may write the directory may replace the socket, and so be taken for us.
expected<void> check_directory(const fs::path& path) {
  fs::path directory = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const std::string& name = directory.native();
  struct stat info {};
  if (::lstat(directory.c_str(), &info) != 0) {
    if (errno == ENOENT) {
      return unusable(path, "its directory is missing; create it: mkdir -m 0755 " + name);
    }
    return fail_errno("look at " + name, errno);
  }
  if (S_ISLNK(info.st_mode)) {
    return unusable(path, "its directory " + name + " is a symlink; give the path it leads to");
  }
  if (!S_ISDIR(info.st_mode)) return unusable(path, name + " is not a directory");
  if (info.st_uid != 0 && info.st_uid != ::geteuid()) {
    return unusable(path, "its directory " + name + " belongs to uid " +
                              std::to_string(info.st_uid) + "; make it ours: chown " +
                              std::to_string(::geteuid()) + " " + name);
  }
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return unusable(path, "others may write its directory; mend it: chmod go-w " + name);
  }
  return {};
}

// A file of the operator's is not ours to replace.
expected<void> check_target(const fs::path& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0 || S_ISSOCK(info.st_mode)) return {};
  return unusable(path, "something that is no socket is there; remove it or choose another path");
}

expected<Fd> take_lock(const fs::path& path) {
  fs::path name = beside(path, ".lock");
  Fd lock(::open(name.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!lock) return fail_errno("open " + name.string(), errno);
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) return fail_errno("lock " + name.string(), errno);
  return fail(Code::kFailedPrecondition, "another nodepilot serves " + path.string() + " (lock " +
                                             name.string() + " is held)");
}

expected<Fd> bind_at(const fs::path& path) {
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno("make a socket", errno);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.native().copy(address.sun_path, sizeof address.sun_path - 1);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);  // NOLINT: the sockets API
  if (::bind(socket.get(), generic, sizeof address) != 0) {
    return fail_errno("bind " + path.string(), errno);
  }
  return socket;
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

}  // namespace

expected<SocketPath> SocketPath::claim(fs::path path, mode_t mode) {
  TRY(check_name(path));
  TRY(check_directory(path));
  TRY(check_target(path));
  Fd lock = TRY(take_lock(path));
  return SocketPath(std::move(path), mode, std::move(lock));
}

expected<Fd> SocketPath::listen() {
  fs::path fresh = temporary(path_);
  ::unlink(fresh.c_str());  // of a run that crashed between bind() and rename()
  Fd socket = TRY(bind_at(fresh));
  // Accepted sockets inherit it.
  int on = 1;
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) {
    return fail_errno("set SO_PASSCRED", errno);
  }
  if (::chmod(fresh.c_str(), mode_) != 0) return fail_errno("chmod " + fresh.string(), errno);
  if (::listen(socket.get(), SOMAXCONN) != 0) return fail_errno("listen", errno);
  Fd inode(::open(fresh.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!inode) return fail_errno("open " + fresh.string(), errno);
  if (::rename(fresh.c_str(), path_.c_str()) != 0) {
    return fail_errno("rename " + fresh.string() + " to " + path_.string(), errno);
  }
  inode_ = std::move(inode);
  return socket;
}

bool SocketPath::is_ours() const {
  struct stat there {};
  struct stat ours {};
  return inode_ && ::lstat(path_.c_str(), &there) == 0 && ::fstat(inode_.get(), &ours) == 0 &&
         same_file(there, ours);
}

SocketPath::~SocketPath() {
  if (is_ours()) ::unlink(path_.c_str());
}

}  // namespace nodepilot
