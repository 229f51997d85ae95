// A listening Unix socket at a path that is ours: taken without stealing it from a live server,
// replaced without a moment in which it is missing, removed only while it is still ours.
// Thread: one owner.
#pragma once

#include <sys/types.h>

#include <filesystem>

#include "agent/base/fd.h"
#include "agent/base/result.h"

namespace nodepilot {

class SocketPath {
 public:
  // Checks the directory, locks PATH.lock, listens at PATH. A live holder of the lock is
  // kFailedPrecondition. Every error names what to do.
  static expected<SocketPath> claim(std::filesystem::path path, mode_t mode);

  SocketPath(SocketPath&&) = default;
  SocketPath& operator=(SocketPath&&) = delete;
  // Removes the path if it is still ours, then gives up the lock.
  ~SocketPath();

  // Makes a new listening socket (non-blocking; its connections tell who sends on them) and puts
  // it at the path, whatever was there.
  expected<Fd> listen();

  // Whether the path still leads to the socket that listen() made last.
  bool is_ours() const;

  const std::filesystem::path& path() const { return path_; }

 private:
  SocketPath(std::filesystem::path path, mode_t mode, Fd lock)
      : path_(std::move(path)), mode_(mode), lock_(std::move(lock)) {}

  std::filesystem::path path_;
  mode_t mode_;
  Fd lock_;
  Fd inode_;  // of the socket: while it is open, no other file can get the same number
};

}  // namespace nodepilot
