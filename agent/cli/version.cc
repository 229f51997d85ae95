#include "agent/cli/commands.h"

namespace nodepilot {

ExitCode execute(const VersionOptions&) { return print("nodepilot " NODEPILOT_VERSION "\n"); }

}  // namespace nodepilot
