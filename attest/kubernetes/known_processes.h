// What was found about processes that are known already. A process is in its container for as long
// as it lives, so that this stays true though the kubelet cannot be asked.
// Thread: one at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>

#include "agent/base/selector.h"
#include "agent/base/time.h"

namespace nodepilot {

class KnownProcesses {
 public:
  // Keeps what a list asked for at `asked_at` told of `process`, the inode of its pidfd, in
  // `container`. The one that was noted first gives way when there are thousands.
  void note(std::uint64_t process, const std::string& container, Time asked_at,
            const Selectors& selectors);

  // Empty if the process is not known in that container.
  std::optional<Selectors> recall(std::uint64_t process, const std::string& container) const;

 private:
  struct Known {
    std::string container;
    Time asked_at;
    Selectors selectors;
  };

  std::unordered_map<std::uint64_t, Known> known_;
  std::deque<std::uint64_t> order_;  // oldest first
};

}  // namespace nodepilot
