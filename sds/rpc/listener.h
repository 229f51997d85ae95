// A Unix socket that speaks gRPC: accepts, identifies, admits, serves, drains.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "agent/base/loop.h"
#include "attest/procfs.h"
#include "sds/rpc/call.h"
#include "sds/rpc/incident_log.h"
#include "sds/rpc/limits.h"
#include "sds/rpc/socket_path.h"

namespace nodepilot {

// Thread: loop.
class Listener {
 public:
  enum class Standing {
    kWaiting,   // another agent serves PATH; we follow it after take_over(), or when it ends
    kServing,   // PATH is ours
    kFollowed,  // another agent serves PATH since; we serve who is connected
  };

  struct Options {
    std::filesystem::path path;
    mode_t mode = 0666;
    Limits limits;
    const char* name = "public";  // for log lines
    Procfs procfs{};              // where clients are looked at
    // How often to see whether PATH is still ours, and to take it back if not.
    Duration path_check = std::chrono::seconds(1);
    // Begin as kWaiting where a live agent serves PATH, instead of failing.
    bool may_follow = false;
    // Called on the loop when standing() has changed, but for the first time.
    std::function<void()> on_standing = [] {};
  };

  // Takes the path: locks PATH.lock (a live holder is kFailedPrecondition and is left alone), binds
  // a temporary name, sets the mode, renames over PATH, so a stale socket is replaced and the path
  // is never missing. The directory must exist, belong to this user or root, be no symlink, and
  // be writable by its owner only.
  static expected<std::unique_ptr<Listener>> open(Loop& loop, Options options, Methods methods);
  // The same at a path that is claimed or adopted already.
  static expected<std::unique_ptr<Listener>> open(Loop& loop, Options options, Methods methods,
                                                  SocketPath path);

  // Closes every connection; unlinks PATH if it is still our socket.
  virtual ~Listener() = default;

  virtual Standing standing() const = 0;
  // While kWaiting: follows the other now, or as soon as nobody else is just doing so. The other
  // serves who is connected to it; whoever connects finds one of us.
  virtual void take_over() = 0;

  // Accepts no more; open calls end with UNAVAILABLE "shutting down" and GOAWAY. `done` runs when
  // the last connection is gone, or after `grace` at the latest.
  virtual void drain(Duration grace, std::function<void()> done) = 0;

  virtual std::size_t connections() const = 0;
  // Connections that were refused or closed for cause.
  virtual const Incidents& incidents() const = 0;

  // The socket, borrowed; -1 while there is none.
  virtual int socket() = 0;
  // Whether PATH and the socket are systemd's (SocketPath::adopt()).
  virtual bool is_adopted() const = 0;
  // PATH shall stay when this ends: another has the socket, too.
  virtual void keep_path() = 0;
};

}  // namespace nodepilot
