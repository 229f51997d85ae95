// Which of several agents has its socket at PATH. Two files beside it tell, each locked with
// flock(2), which ends with whoever holds it:
//   PATH.lock  by the agent that serves PATH, for as long as it lives
//   PATH.next  by who is just changing what PATH leads to, for an instant
// A successor locks PATH.next, puts its socket at PATH and renames PATH.next over PATH.lock. From
// that rename on it serves PATH, and its predecessor sees that PATH.lock is not the file any more
// that it has locked. Whoever dies, and wherever, nothing has to be cleaned up: PATH.lock is locked
// by a live agent, or free for the next.
// Thread: one owner.
#pragma once

#include <filesystem>

#include "agent/base/fd.h"
#include "agent/base/result.h"

namespace nodepilot {

class PathLock {
 public:
  // Holds PATH.next, and so the right to change PATH; gives it up at its end.
  class Change {
   public:
    Change(Change&&) = default;
    Change& operator=(Change&&) = delete;
    ~Change();

   private:
    friend class PathLock;
    Change(std::filesystem::path name, Fd lock) : name_(std::move(name)), lock_(std::move(lock)) {}

    std::filesystem::path name_;
    Fd lock_;
  };

  // `path` is PATH. Locks nothing yet.
  explicit PathLock(std::filesystem::path path) : path_(std::move(path)) {}

  // Locks PATH.lock. kFailedPrecondition if a live agent has it: then nothing has changed.
  expected<void> take();
  // Whether PATH.lock is what we have locked. It is not before take() or succeed(), after somebody
  // succeeded us, or if somebody removed it.
  bool is_ours() const;

  // kUnavailable if another is about to change PATH, which takes an instant.
  expected<Change> begin_change() const;
  // Makes PATH.lock ours, whosever it was.
  expected<void> succeed(Change change);

  // A note for whoever locks PATH.lock next, 100 bytes at most; a lost one is empty.
  void write_note(const std::string& note) const;
  std::string read_note() const;

 private:
  const std::filesystem::path path_;
  Fd lock_;
};

}  // namespace nodepilot
