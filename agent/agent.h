// The daemon: wires the rooms together and runs them. The only place that sees all of them.
#pragma once

#include <functional>

#include "agent/base/result.h"
#include "agent/config/config.h"

namespace nodepilot {

struct AgentOptions {
  // Where a live agent serves the sockets, wait until there is a trust bundle to serve, then take
  // them over from it, instead of failing (docs/upgrade.md).
  bool take_over = false;
  // Runs once both sockets accept.
  std::function<void()> on_ready = [] {};
};

// Serves until SIGTERM or SIGINT, then drains and returns. Errors are those of starting: CA, state
// directory, sockets. Thread: becomes the loop thread.
expected<void> run_agent(const Config& config, const AgentOptions& options);

}  // namespace nodepilot
