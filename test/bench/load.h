// What a load measures. Each measurement returns JSON; a server that does not play along ends the
// program with a message on stderr.
#pragma once

#include <unistd.h>

#include <nlohmann/json.hpp>
#include <string>

#include "test/bench/crowd.h"
#include "test/bench/requests.h"
#include "test/bench/server_process.h"

namespace nodepilot {

struct LoadOptions {
  std::string socket;
  Request stream;                     // an open stream of SVIDs
  Request call;                       // for calls()
  std::size_t call_connections = 64;  // each has one call under way
  std::string event;                  // command for pushes()
  std::string admin;                  // or: the admin socket of a nodepilot, asked to rotate
  std::chrono::seconds patience{60};  // for any answer
  std::chrono::microseconds pause{};  // of the crowd of streams
  pid_t server = 0;                   // 0: whoever made the socket
};

class Load {
 public:
  explicit Load(LoadOptions options);

  // Connect, open a stream, get its first message: one client after the other.
  nlohmann::json connects(std::size_t n);
  // `n` calls in a closed loop.
  nlohmann::json calls(std::size_t n);
  // What `n` connections with an open stream cost the server. They stay open for the next two.
  nlohmann::json streams(std::size_t n);
  // From an event until the last of those streams has a new message, `n` times.
  nlohmann::json pushes(std::size_t n);
  // All of those streams go away, and as many come at once: until the last one is served. A
  // connection that the server closes is counted and tried again.
  nlohmann::json storm();

 private:
  using Clock = Crowd::Clock;

  std::unique_ptr<LoadClient> connect() const;
  void await(Crowd& crowd, const std::function<bool()>& done,
             const std::function<void(LoadClient&)>& pumped) const;
  nlohmann::json push();
  void cause_event();

  const LoadOptions options_;
  const ServerProcess server_;
  const ServerProcess own_{::getpid()};
  const Request rotate_ = rotate_all();
  std::unique_ptr<LoadClient> admin_;
  Crowd crowd_;
};

}  // namespace nodepilot
