#include "agent/cli/mesh_policy.h"

#include "agent/cli/commands.h"
#include "agent/cli/config_errors.h"
#include "agent/cli_text.h"
#include "agent/config/mesh_manifests.h"
#include "agent/config/text.h"

namespace nodepilot {

tl::expected<MeshPolicy, ExitCode> load_mesh(const std::filesystem::path& file) {
  auto config = load_config(file);
  if (!config) return tl::unexpected(report(config.error()));
  if (!config->mesh) {
    return tl::unexpected(
        report(file.string() + ": has no section \"mesh\"", ExitCode::kConfigInvalid));
  }
  auto policy = load_policy(config->mesh->policy, config->mesh->root_namespace);
  if (!policy) return tl::unexpected(report(policy.error()));
  return MeshPolicy{*std::move(config), *std::move(policy)};
}

ExitCode report_unknown_workload(const Config& config, const std::string& name) {
  std::vector<std::string> names;
  for (const mesh::Workload& workload : config.mesh->workloads) names.push_back(workload.name);
  return report("unknown workload " + quote(name) + suggestion(name, names), ExitCode::kUsage);
}

std::string origin_of(const mesh::Verdict& verdict) {
  if (verdict.decided_by == nullptr) return "no policy: PERMISSIVE is the default";
  return verdict.decided_by->full_name() + " (" + printable(verdict.decided_by->origin) + ")" +
         (verdict.by_port ? ", its entry for the port" : "");
}

}  // namespace nodepilot
