// The mistakes of a configuration, on stderr. Thread: main.
#pragma once

#include "agent/cli/exit_code.h"
#include "agent/config/config.h"

namespace nodepilot {

// One line for each, "FILE:LINE:COLUMN: MESSAGE"; yields kConfigInvalid.
ExitCode report(const ConfigErrors& errors);

}  // namespace nodepilot
