#include "attest/kubernetes/container_waits.h"

namespace nodepilot {
namespace {

constexpr std::size_t kMaxWaits = 4096;
// Who waits looks twice a second.
constexpr Duration kPause = std::chrono::seconds(5);

}  // namespace

// A clock that was set back ends every wait, too.
bool ContainerWaits::is_abandoned(const Wait& wait, Time now) {
  return now < wait.latest || now - wait.latest > kPause;
}

expected<Time> ContainerWaits::look(const std::string& container, Time now) {
  auto known = waits_.find(container);
  if (known == waits_.end() && waits_.size() >= kMaxWaits) {
    std::erase_if(waits_, [&](const auto& wait) { return is_abandoned(wait.second, now); });
  }
  if (known == waits_.end()) {
    if (waits_.size() >= kMaxWaits) {
      return fail(Code::kResourceExhausted,
                  "too many containers are looked for that the kubelet does not list");
    }
    known = waits_.emplace(container, Wait{now, now}).first;
  }
  if (is_abandoned(known->second, now)) known->second.since = now;
  known->second.latest = now;
  return known->second.since;
}

}  // namespace nodepilot
