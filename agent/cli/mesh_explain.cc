#include "agent/cli/commands.h"
#include "agent/cli/mesh_policy.h"
#include "agent/cli_text.h"
#include "agent/mesh_rendering.h"

namespace nodepilot {
namespace {

std::string origin_of(const mesh::Verdict& verdict) {
  if (verdict.decided_by == nullptr) return "no policy: PERMISSIVE is the default";
  const mesh::PeerAuthentication& policy = *verdict.decided_by;
  return policy.full_name() + " (" + printable(policy.origin) + ")" +
         (verdict.by_port ? ", its entry for the port" : "");
}

}  // namespace

ExitCode execute(const MeshExplainOptions& options) {
  auto loaded = load_mesh(options.config);
  if (!loaded) return loaded.error();
  const auto& [config, policy] = *loaded;
  std::vector<std::vector<std::string>> rows = {{"WORKLOAD", "PORT", "MODE", "DECIDED BY"}};
  if (!options.workload.empty() && find_workload(config, options.workload) == nullptr) {
    return report_unknown_workload(config, options.workload);
  }
  for (const mesh::Workload& workload : config.mesh->workloads) {
    if (!options.workload.empty() && workload.name != options.workload) continue;
    for (const mesh::Port& port : workload.ports) {
      auto verdict = policy.peers.resolve(workload.name_space, workload.labels, port.port);
      rows.push_back({workload.name, std::to_string(port.port), mesh::to_string(verdict.mode),
                      origin_of(verdict)});
    }
  }
  std::string text = render_table(rows);
  for (const mesh::IgnoredPolicy& ignored : policy.peers.ignored()) {
    text += "ignored: " + ignored.policy->full_name() + " (" + printable(ignored.policy->origin) +
            "): " + ignored.why + "\n";
  }
  return print(text);
}

}  // namespace nodepilot
