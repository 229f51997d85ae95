// Since when which container is looked for in vain.
// Thread: one at a time.
#pragma once

#include <map>
#include <string>

#include "agent/base/result.h"
#include "agent/base/time.h"

namespace nodepilot {

class ContainerWaits {
 public:
  // Somebody looks for `container`: since when it has been looked for, without a pause of more than
  // a few seconds. kResourceExhausted if thousands of others are looked for already.
  expected<Time> look(const std::string& container, Time now);

  // It was found, or given up: the next wait begins anew.
  void end(const std::string& container) { waits_.erase(container); }

 private:
  struct Wait {
    Time since;
    Time latest;
  };
  static bool is_abandoned(const Wait& wait, Time now);

  std::map<std::string, Wait> waits_;
};

}  // namespace nodepilot
