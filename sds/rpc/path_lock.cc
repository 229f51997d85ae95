#include "sds/rpc/path_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <string>

namespace nodepilot {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxNote = 100;
// A file that was renamed or removed while we locked it is not the one; the next one is there by
// then. More often than this somebody plays tricks.
constexpr int kTries = 8;

fs::path beside(const fs::path& path, const char* suffix) { return path.string() + suffix; }

bool names(const fs::path& name, const Fd& file) {
  struct stat there {};
  struct stat ours {};
  return file && ::lstat(name.c_str(), &there) == 0 && ::fstat(file.get(), &ours) == 0 &&
         there.st_dev == ours.st_dev && there.st_ino == ours.st_ino;
}

// The file `name`, made if it is missing, and locked. kUnavailable if another has it locked.
expected<Fd> lock(const fs::path& name) {
  for (int i = 0; i < kTries; ++i) {
    Fd file(::open(name.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) return fail_errno("open " + name.string(), errno);
    bool locked = ::flock(file.get(), LOCK_EX | LOCK_NB) == 0;
    if (!locked && errno != EWOULDBLOCK) return fail_errno("lock " + name.string(), errno);
    if (!names(name, file)) continue;
    if (locked) return file;
    break;
  }
  return fail(Code::kUnavailable, "lock " + name.string() + " is held");
}

}  // namespace

PathLock::Change::~Change() {
  if (lock_) ::unlink(name_.c_str());
}

expected<void> PathLock::take() {
  auto locked = lock(beside(path_, ".lock"));
  if (locked) {
    lock_ = *std::move(locked);
    return {};
  }
  if (locked.error().code != Code::kUnavailable) return tl::unexpected(locked.error());
  return fail(Code::kFailedPrecondition,
              "another nodepilot serves " + path_.string() + " (" + locked.error().message +
                  "): stop that one, or have this one follow it with --take-over");
}

bool PathLock::is_ours() const { return names(beside(path_, ".lock"), lock_); }

expected<PathLock::Change> PathLock::begin_change() const {
  fs::path name = beside(path_, ".next");
  Fd locked = TRY(lock(name));
  return Change(std::move(name), std::move(locked));
}

expected<void> PathLock::succeed(Change change) {
  fs::path name = beside(path_, ".lock");
  if (::rename(change.name_.c_str(), name.c_str()) != 0) {
    return fail_errno("rename " + change.name_.string() + " to " + name.string(), errno);
  }
  lock_ = std::move(change.lock_);
  return {};
}

void PathLock::write_note(const std::string& note) const {
  // Longer than what it replaces or not: what is cut off last is never read as more than it is.
  if (::ftruncate(lock_.get(), 0) != 0 || note.size() > kMaxNote) return;
  [[maybe_unused]] auto written = ::pwrite(lock_.get(), note.data(), note.size(), 0);
}

std::string PathLock::read_note() const {
  std::array<char, kMaxNote> bytes{};
  auto length = ::pread(lock_.get(), bytes.data(), bytes.size(), 0);
  return length > 0 ? std::string(bytes.data(), static_cast<std::size_t>(length)) : std::string();
}

}  // namespace nodepilot
