#include "sds/rpc/incident_log.h"

#include <utility>

#include "agent/base/log.h"

namespace nodepilot {

void IncidentLog::write(std::string_view event, pid_t pid, uid_t uid, std::string_view reason,
                        TokenBucket::Instant now) {
  auto counted = counts_.find(event);
  if (counted == counts_.end()) counted = counts_.emplace(event, 0).first;
  ++counted->second;
  if (!budget_.take(now)) {
    ++suppressed_;
    return;
  }
  log::warn(event, {{"socket", socket_},
                    {"pid", pid},
                    {"uid", uid},
                    {"reason", reason},
                    {"suppressed", std::exchange(suppressed_, 0)}});
}

}  // namespace nodepilot
