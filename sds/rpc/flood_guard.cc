#include "sds/rpc/flood_guard.h"

#include <utility>

namespace nodepilot {

bool FloodGuard::allows(ControlFrame frame, Instant now) {
  switch (frame) {
    case ControlFrame::kPing:
      return std::exchange(ping_is_free_, false) || pings_.take(now);
    case ControlFrame::kIdle:
      return pings_.take(now);
    case ControlFrame::kReset:
      return resets_.take(now);
    case ControlFrame::kSettings:
      return settings_.take(now);
  }
  return false;
}

}  // namespace nodepilot
