// The daemon: wires the rooms together and runs them. The only place that sees all of them.
#pragma once

#include <functional>

#include "agent/base/result.h"
#include "agent/config.h"

namespace nodepilot {

// Serves until SIGTERM or SIGINT, then drains and returns. Errors are those of starting: CA, state
// directory, sockets. `on_ready` runs once both sockets accept. Thread: becomes the loop thread.
expected<void> run_agent(const Config& config, const std::function<void()>& on_ready);

}  // namespace nodepilot
