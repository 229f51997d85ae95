// Right after a pod is scheduled, a CA may not have seen it yet: it then refuses to let the node's
// agent ask for the pod's identity, with the same code and text as if the agent were not trusted.
#pragma once

#include <map>
#include <mutex>

#include "agent/base/spiffe_id.h"
#include "agent/base/time.h"

namespace nodepilot {

// Thread: any, several at once.
class AuthenticationRace {
 public:
  // Whether a refusal at `now` may still pass by itself: nothing but refusals came for `id`, the
  // first of them less than kWindow ago. After kForget without any, the window starts anew.
  bool may_pass(const SpiffeId& id, Time now);

  // A certificate was issued.
  void passed(const SpiffeId& id);

  static constexpr Duration kWindow = std::chrono::seconds(30);
  static constexpr Duration kForget = std::chrono::minutes(10);

 private:
  struct Refusals {
    Time first;
    Time last;
  };

  std::mutex mutex_;  // guards the rest
  std::map<SpiffeId, Refusals> refusals_;
};

}  // namespace nodepilot
