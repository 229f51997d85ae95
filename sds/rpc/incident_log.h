// One log line for each connection that is refused or closed for cause, as long as they are few:
// a client must not be able to fill the disk. What was left out is counted in the next line.
// `event` is a text of ours, of which there are few.
// Thread: loop.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "agent/base/token_bucket.h"

namespace nodepilot {

using Incidents = std::map<std::string, std::uint64_t, std::less<>>;  // by event

class IncidentLog {
 public:
  explicit IncidentLog(std::string socket) : socket_(std::move(socket)) {}

  // pid 0: not known.
  void write(std::string_view event, pid_t pid, uid_t uid, std::string_view reason,
             TokenBucket::Instant now);

  std::size_t suppressed() const { return suppressed_; }
  // How often each event was, whether or not it is in the log.
  const Incidents& counts() const { return counts_; }

 private:
  const std::string socket_;
  TokenBucket budget_{5, 50};
  std::size_t suppressed_ = 0;
  Incidents counts_;
};

}  // namespace nodepilot
