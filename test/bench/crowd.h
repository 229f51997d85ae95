// Many clients on one thread: pumps each of them when its socket has something.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "test/bench/load_client.h"

namespace nodepilot {

class Crowd {
 public:
  using Clock = std::chrono::steady_clock;

  // Looks at its sockets as soon as one has something, or, if `pause` is given, so long after it
  // last found all of them empty: then a server need not wake it for each message.
  explicit Crowd(std::chrono::microseconds pause = {});

  LoadClient& add(std::unique_ptr<LoadClient> client);
  const std::vector<std::unique_ptr<LoadClient>>& clients() const { return clients_; }
  std::size_t size() const { return clients_.size(); }
  // Closes all connections.
  void clear();

  // Pumps until `done`, or until `deadline`: false. `pumped` hears of each client that was pumped,
  // and whether it is still connected; one that is not is never pumped again, but is still here.
  bool run(Clock::time_point deadline, const std::function<bool()>& done,
           const std::function<void(LoadClient&, bool connected)>& pumped);

 private:
  const std::chrono::microseconds pause_;
  Fd poll_;
  std::vector<std::unique_ptr<LoadClient>> clients_;
};

}  // namespace nodepilot
