#include "agent/cli/commands.h"
#include "agent/cli/mesh_policy.h"
#include "agent/mesh_rendering.h"

namespace nodepilot {

ExitCode execute(const EnvoyBootstrapOptions& options) {
  auto loaded = load_mesh(options.config);
  if (!loaded) return loaded.error();
  const auto& [config, policy] = *loaded;
  const mesh::Workload* workload = find_workload(config, options.workload);
  if (workload == nullptr) return report_unknown_workload(config, options.workload);

  mesh::Surroundings surroundings = mesh_surroundings(config);
  auto resources = mesh::render(surroundings, policy, config.mesh->root_namespace, *workload);
  if (!resources) return report(resources.error());
  auto text =
      mesh::to_json(options.live ? mesh::live_bootstrap(surroundings, *workload)
                                 : mesh::bootstrap(surroundings, *workload, *std::move(resources)));
  return text ? print(*text) : report(text.error());
}

}  // namespace nodepilot
