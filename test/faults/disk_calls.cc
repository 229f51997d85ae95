#include "test/faults/disk_calls.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>

namespace nodepilot {
namespace {

DiskCalls* armed = nullptr;

constexpr char kLetters[] = "wsrd";

bool is_kind(int fd, mode_t kind) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && (status.st_mode & S_IFMT) == kind;
}

// Whether the call is to be made.
bool passes(DiskCall call) {
  int error = armed == nullptr ? 0 : armed->before(call);
  if (error != 0) errno = error;
  return error == 0;
}

}  // namespace

DiskCalls::DiskCalls() { armed = this; }
DiskCalls::~DiskCalls() { armed = nullptr; }

void DiskCalls::fail(DiskCall call, int error) { failures_.push_back({call, error}); }
void DiskCalls::recover() { failures_.clear(); }
void DiskCalls::die_at(DiskCall call) { failures_.push_back({call, 0}); }

int DiskCalls::before(DiskCall call) {
  seen_ += kLetters[static_cast<int>(call)];
  for (const Failure& failure : failures_) {
    if (failure.call != call) continue;
    if (failure.error == 0) ::raise(SIGKILL);
    return failure.error;
  }
  return 0;
}

}  // namespace nodepilot

using nodepilot::DiskCall;

// The linker prefers these to libc's.
extern "C" {

ssize_t write(int fd, const void* bytes, size_t count) {
  bool to_file = nodepilot::armed != nullptr && nodepilot::is_kind(fd, S_IFREG);
  if (to_file && !nodepilot::passes(DiskCall::kWrite)) return -1;
  return ::syscall(SYS_write, fd, bytes, count);
}

int fsync(int fd) {
  DiskCall call = nodepilot::is_kind(fd, S_IFDIR) ? DiskCall::kSyncDirectory : DiskCall::kSyncFile;
  if (!nodepilot::passes(call)) return -1;
  return static_cast<int>(::syscall(SYS_fsync, fd));
}

int renameat(int from, const char* old_name, int to, const char* new_name) noexcept {
  if (!nodepilot::passes(DiskCall::kRename)) return -1;
  return static_cast<int>(::syscall(SYS_renameat2, from, old_name, to, new_name, 0));
}

}  // extern "C"
