// `run --dev`: an agent for trying things out, without a configuration and without root.
// Thread: main.
#pragma once

#include "agent/base/result.h"
#include "agent/cli/command_line.h"
#include "agent/config/config.h"

namespace nodepilot {

// Errors are about the options: an --identity that is no rule.
expected<Config> dev_config_of(const RunOptions& options);

// The directory of `config`, a dev_config(), with all below it that it needs: ours and writable by
// us alone, else an error. Other users may enter it if their processes are to be served.
expected<void> make_dev_directories(const Config& config, const RunOptions& options);

}  // namespace nodepilot
