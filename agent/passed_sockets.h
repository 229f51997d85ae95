// Listening sockets that systemd passes at start (sd_listen_fds(3)): those of its socket units,
// named "public" and "admin", which are systemd's for good; and those that an earlier life of ours
// has put into its store, "stored-public" and "stored-admin". While the agent restarts, clients
// wait in their queues instead of being refused.
#pragma once

#include <map>
#include <string>

#include "agent/config/config.h"
#include "sds/rpc/socket_path.h"

namespace nodepilot {

// Thread: main, then loop.
class PassedSockets {
 public:
  // Takes what is passed to this process and clears the environment of it, so that no child
  // believes it to be its own. kInvalidArgument names a socket with another name or one too many.
  static expected<PassedSockets> take();

  // The path of the socket `name`, "public" or "admin": with what was passed for it, or claimed
  // as SocketPath::claim() does. Once for each name.
  expected<SocketPath> path_for(const std::string& name, const Config::Socket& socket,
                                bool may_follow);

 private:
  Fd extract(const std::string& name);

  std::map<std::string, Fd> sockets_;
};

}  // namespace nodepilot
