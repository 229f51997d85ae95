#include "agent/cli/commands.h"
#include "agent/cli/config_errors.h"
#include "agent/config/mesh_manifests.h"
#include "agent/mesh_rendering.h"

namespace nodepilot {

ExitCode execute(const ValidateOptions& options) {
  auto config = load_config(options.config);
  if (!config) return report(config.error());
  if (config->mesh) {
    auto policy = load_policy(config->mesh->policy, config->mesh->root_namespace);
    if (!policy) return report(policy.error());
    for (const mesh::Workload& workload : config->mesh->workloads) {
      auto rendered =
          mesh::render(mesh_surroundings(*config), *policy, config->mesh->root_namespace, workload);
      if (rendered) continue;
      return report("workload " + workload.name + ": " + rendered.error().message,
                    ExitCode::kConfigInvalid);
    }
  }
  std::size_t count = config->entries.size();
  return print(options.config.string() + ": valid, " + std::to_string(count) +
               (count == 1 ? " identity\n" : " identities\n"));
}

}  // namespace nodepilot
