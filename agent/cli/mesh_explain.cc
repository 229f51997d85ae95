#include <algorithm>

#include "agent/cli/commands.h"
#include "agent/cli/mesh_policy.h"
#include "agent/cli_text.h"
#include "agent/mesh_rendering.h"

namespace nodepilot {
namespace {

using Rows = std::vector<std::vector<std::string>>;

// "shop/web (web.yaml:3)".
std::string shown(const mesh::PeerAuthentication& policy) {
  return policy.full_name() + " (" + printable(policy.origin) + ")";
}

std::string lines_of(const std::vector<mesh::IgnoredPolicy>& ignored) {
  std::string text;
  for (const auto& [policy, why] : ignored)
    text += "ignored: " + shown(*policy) + ": " + why + "\n";
  return text;
}

std::string table_of(const MeshPolicy& mesh, const std::string& only) {
  Rows rows = {{"WORKLOAD", "PORT", "MODE", "DECIDED BY"}};
  for (const mesh::Workload& workload : mesh.config.mesh->workloads) {
    if (!only.empty() && workload.name != only) continue;
    for (const mesh::Port& port : workload.ports) {
      auto verdict = mesh.policy.peers.resolve(workload.name_space, workload.labels, port.port);
      rows.push_back({workload.name, std::to_string(port.port), mesh::to_string(verdict.mode),
                      origin_of(verdict)});
    }
  }
  return render_table(rows) + lines_of(mesh.policy.peers.ignored());
}

// How one port came to its mode, scope by scope.
std::string chain_of(const mesh::PolicySet& policies, const mesh::Workload& workload,
                     std::uint16_t port) {
  auto verdict = policies.resolve(workload.name_space, workload.labels, port);
  Rows rows = {{"SCOPE", "MODE", "POLICY"}};
  std::string ignored;
  for (const mesh::Step& step : policies.steps(workload.name_space, workload.labels, port)) {
    bool is_set = step.mode != mesh::MtlsMode::kUnset;
    rows.push_back({step.scope, is_set ? mesh::to_string(step.mode) : "inherits",
                    step.policy == nullptr ? "-" : shown(*step.policy)});
    ignored += lines_of(step.ignored);
  }
  return workload.name + ":" + std::to_string(port) + " is " + mesh::to_string(verdict.mode) +
         ", decided by " + origin_of(verdict) + "\n\n" + render_table(rows) + ignored;
}

std::string ports_of(const mesh::Workload& workload) {
  std::string ports;
  for (const mesh::Port& port : workload.ports) {
    ports += (ports.empty() ? "" : ", ") + std::to_string(port.port);
  }
  return ports.empty() ? "no ports" : ports;
}

}  // namespace

ExitCode execute(const MeshExplainOptions& options) {
  auto loaded = load_mesh(options.config);
  if (!loaded) return loaded.error();
  if (options.workload.empty()) return print(table_of(*loaded, ""));
  const mesh::Workload* workload = find_workload(loaded->config, options.workload);
  if (workload == nullptr) return report_unknown_workload(loaded->config, options.workload);
  if (!options.port) return print(table_of(*loaded, workload->name));
  bool is_known = std::any_of(workload->ports.begin(), workload->ports.end(),
                              [&](const mesh::Port& port) { return port.port == *options.port; });
  if (is_known) return print(chain_of(loaded->policy.peers, *workload, *options.port));
  return report("workload " + workload->name + " has no port " + std::to_string(*options.port) +
                    "; it has " + ports_of(*workload),
                ExitCode::kUsage);
}

}  // namespace nodepilot
