#include "sds/rpc/socket_path.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <string>

#include "agent/base/log.h"
#include "sds/rpc/listening_socket.h"

namespace nodepilot {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxBytes = sizeof(sockaddr_un::sun_path) - sizeof(".new");

fs::path temporary(const fs::path& path) { return path.string() + ".new"; }

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

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

expected<void> check(const fs::path& path) {
  TRY(check_name(path));
  TRY(check_directory(path));
  return check_target(path);
}

// Which socket the path leads to: its number among sockets, and its file's. Empty if in doubt.
std::string note_on(const Fd& socket, const fs::path& path) {
  struct stat itself {};
  struct stat file {};
  if (::fstat(socket.get(), &itself) != 0 || ::lstat(path.c_str(), &file) != 0) return {};
  return fmt::format("socket {} is file {} on {}", itself.st_ino, file.st_ino, file.st_dev);
}

}  // namespace

expected<SocketPath> SocketPath::claim(fs::path path, mode_t mode, bool may_follow) {
  TRY(check(path));
  SocketPath claimed(std::move(path), mode);
  auto taken = claimed.lock_.take();
  bool is_held = !taken && taken.error().code == Code::kFailedPrecondition;
  if (!taken && !(may_follow && is_held)) return tl::unexpected(taken.error());
  return claimed;
}

expected<SocketPath> SocketPath::adopt(fs::path path, Fd socket) {
  TRY(check(path));
  TRY(check_listens_at(socket, path));
  if (!TRY(adapt_listening(socket))) {
    log::warn("the socket that was passed lacks PassCredentials=yes; who came early is closed",
              {{"path", path.string()}});
  }
  SocketPath adopted(std::move(path), 0);
  auto taken = adopted.lock_.take();
  if (!taken && taken.error().code == Code::kFailedPrecondition) {
    return tl::unexpected(taken.error());
  }
  adopted.first_ = std::move(socket);
  adopted.is_adopted_ = true;
  return adopted;
}

bool SocketPath::resume(Fd socket) {
  auto is_one =
      check_listens_at(socket, temporary(path_)).and_then([&] { return adapt_listening(socket); });
  std::string note = note_on(socket, path_);
  if (!is_one || !lock_.is_ours() || note.empty() || note != lock_.read_note()) return false;
  inode_ = Fd(::open(path_.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!inode_) return false;
  first_ = std::move(socket);
  return true;
}

expected<Fd> SocketPath::listen() {
  if (first_) return std::move(first_);
  auto change = TRY(lock_.begin_change());
  fs::path fresh = temporary(path_);
  ::unlink(fresh.c_str());  // of a run that crashed between bind() and rename()
  Fd socket = TRY(listen_at(fresh, mode_));
  Fd inode(::open(fresh.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!inode) return fail_errno("open " + fresh.string(), errno);
  if (::rename(fresh.c_str(), path_.c_str()) != 0) {
    return fail_errno("rename " + fresh.string() + " to " + path_.string(), errno);
  }
  inode_ = std::move(inode);
  if (!lock_.is_ours()) TRY(lock_.succeed(std::move(change)));
  lock_.write_note(note_on(socket, path_));
  return socket;
}

bool SocketPath::leads_to_ours() const {
  struct stat there {};
  struct stat ours {};
  return inode_ && ::lstat(path_.c_str(), &there) == 0 && ::fstat(inode_.get(), &ours) == 0 &&
         same_file(there, ours);
}

SocketPath::Holder SocketPath::holder() const {
  if (is_adopted_) return Holder::kUs;
  if (!lock_.is_ours()) return Holder::kAnother;
  return leads_to_ours() ? Holder::kUs : Holder::kUsLost;
}

SocketPath::~SocketPath() {
  if (is_kept_ || !leads_to_ours() || !lock_.is_ours()) return;
  // A successor that is about to come has put, or will put, its own socket there.
  if (auto change = lock_.begin_change(); change && leads_to_ours()) ::unlink(path_.c_str());
}

}  // namespace nodepilot
