#include "rotation/ca/istiod/authentication_race.h"

namespace nodepilot {

bool AuthenticationRace::may_pass(const SpiffeId& id, Time now) {
  std::lock_guard lock(mutex_);
  // The clock may have been set back, too.
  std::erase_if(refusals_, [&](const auto& item) {
    return item.second.last - now > kForget || now - item.second.last > kForget;
  });
  Refusals& refusals = refusals_.try_emplace(id, Refusals{now, now}).first->second;
  refusals.last = now;
  return now - refusals.first < kWindow;
}

void AuthenticationRace::passed(const SpiffeId& id) {
  std::lock_guard lock(mutex_);
  refusals_.erase(id);
}

}  // namespace nodepilot
