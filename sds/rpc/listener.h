// A Unix socket that speaks gRPC: accepts, identifies, admits, serves, drains.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "agent/base/loop.h"
#include "attest/procfs.h"
#include "sds/rpc/call.h"
#include "sds/rpc/limits.h"

namespace nodepilot {

// Thread: loop.
class Listener {
 public:
  struct Options {
    std::filesystem::path path;
    mode_t mode = 0666;
    Limits limits;
    const char* name = "public";  // for log lines
    Procfs procfs{};              // where clients are looked at
    // How often to see whether PATH is still ours, and to take it back if not.
    Duration path_check = std::chrono::seconds(5);
  };

  // Takes the path: locks PATH.lock (a live holder is kFailedPrecondition and is left alone), binds
  // a temporary name, sets the mode, renames over PATH, so a stale socket is replaced and the path
  // is never missing. The directory must exist, belong to this user or root, be no symlink, and
  // be writable by its owner only.
  static expected<std::unique_ptr<Listener>> open(Loop& loop, Options options, Methods methods);

  // Closes every connection; unlinks PATH if it is still our socket.
  virtual ~Listener() = default;

  // Accepts no more; open calls end with UNAVAILABLE "shutting down" and GOAWAY. `done` runs when
  // the last connection is gone, or after `grace` at the latest.
  virtual void drain(Duration grace, std::function<void()> done) = 0;

  virtual std::size_t connections() const = 0;
};

}  // namespace nodepilot
