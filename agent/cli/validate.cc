#include "agent/cli/commands.h"
#include "agent/cli/config_errors.h"

namespace nodepilot {

ExitCode execute(const ValidateOptions& options) {
  auto config = load_config(options.config);
  if (!config) return report(config.error());
  std::size_t count = config->entries.size();
  return print(options.config.string() + ": valid, " + std::to_string(count) +
               (count == 1 ? " identity\n" : " identities\n"));
}

}  // namespace nodepilot
