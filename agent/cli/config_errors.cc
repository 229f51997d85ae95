#include "agent/cli/config_errors.h"

#include <cstdio>

#include "agent/cli_text.h"

namespace nodepilot {

ExitCode report(const ConfigErrors& errors) {
  for (const ConfigError& error : errors) {
    std::string line = printable(error.str()) + "\n";
    std::fwrite(line.data(), 1, line.size(), stderr);
  }
  return ExitCode::kConfigInvalid;
}

}  // namespace nodepilot
