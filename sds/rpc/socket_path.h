// A listening Unix socket at a path: taken without stealing it from a live server, replaced without
// a moment in which it is missing, handed over without a connection refused, removed only while it
// is still ours.
// Thread: one owner.
#pragma once

#include <sys/types.h>

#include <filesystem>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "sds/rpc/path_lock.h"

namespace nodepilot {

class SocketPath {
 public:
  enum class Holder {
    kUs,       // and the path leads to our socket
    kUsLost,   // ours, but somebody removed the socket or put another in its place
    kAnother,  // one that we may follow, or one that followed us
  };

  // Checks the directory and locks the path for us (PathLock). A live holder is
  // kFailedPrecondition, unless we `may_follow` it: then the path is its until listen().
  // Every error names what to do.
  static expected<SocketPath> claim(std::filesystem::path path, mode_t mode,
                                    bool may_follow = false);

  // A path at which systemd has bound `socket` for us, and where it stays, with its own mode and
  // owner. Locked for us against another agent, as far as we may write beside it.
  // kFailedPrecondition if `socket` is no Unix stream socket that listens there.
  static expected<SocketPath> adopt(std::filesystem::path path, Fd socket);

  SocketPath(SocketPath&&) = default;
  SocketPath& operator=(SocketPath&&) = delete;
  // Removes the path if it is still ours and not to be kept, then gives up the lock.
  ~SocketPath();

  // Makes a new listening socket (non-blocking; its connections tell who sends on them) and puts
  // it at the path, whatever was there; the path is ours then, whosever it was. kUnavailable if
  // another is about to do the same. The first time after adopt() or resume(), that socket.
  expected<Fd> listen();

  // A socket that an earlier life of ours has listened on: used if it is what the path leads to,
  // else closed, and false.
  bool resume(Fd socket);
  // Leaves the path when it ends, for a later life that will resume() its socket.
  void keep() { is_kept_ = true; }

  Holder holder() const;
  // If kAnother has ended, locks the path for us (again); what it leads to is for listen() to mend.
  bool inherit() { return lock_.take().has_value(); }

  const std::filesystem::path& path() const { return path_; }
  bool is_adopted() const { return is_adopted_; }

 private:
  SocketPath(std::filesystem::path path, mode_t mode)
      : path_(std::move(path)), mode_(mode), lock_(path_) {}
  bool leads_to_ours() const;

  std::filesystem::path path_;
  mode_t mode_;
  PathLock lock_;
  Fd inode_;  // of the socket: while it is open, no other file can get the same number
  Fd first_;  // until listen() gives it away
  bool is_adopted_ = false;
  bool is_kept_ = false;
};

}  // namespace nodepilot
