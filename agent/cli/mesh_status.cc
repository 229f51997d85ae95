#include "agent/cli/commands.h"
#include "agent/cli/mesh_policy.h"
#include "agent/cli_text.h"
#include "agent/envoy_admin.h"
#include "agent/mesh/traffic.h"
#include "agent/mesh_rendering.h"

namespace nodepilot {
namespace {

using Rows = std::vector<std::vector<std::string>>;

expected<std::map<std::uint16_t, mesh::Traffic>> traffic_of(const mesh::Workload& workload) {
  if (!workload.admin) {
    return fail(Code::kFailedPrecondition, "no admin address is configured");
  }
  return mesh::parse_traffic(
      TRY(get_from_admin(*workload.admin, "/stats?filter=inbound_.*downstream_cx_")));
}

void add_rows(const mesh::PolicySet& policies, const mesh::Workload& workload, Rows& rows) {
  auto traffic = traffic_of(workload);
  for (const mesh::Port& port : workload.ports) {
    auto mode = policies.resolve(workload.name_space, workload.labels, port.port).mode;
    std::vector<std::string> row = {workload.name, std::to_string(port.port),
                                    mesh::to_string(mode)};
    if (traffic) {
      const mesh::Traffic& seen = (*traffic)[port.port];
      row.insert(row.end(), {std::to_string(seen.mutual.total),
                             std::to_string(seen.plaintext.total), mesh::advice(mode, seen)});
    } else {
      row.insert(row.end(), {"-", "-", printable(traffic.error().message)});
    }
    rows.push_back(std::move(row));
  }
}

}  // namespace

ExitCode execute(const MeshStatusOptions& options) {
  auto loaded = load_mesh(options.config);
  if (!loaded) return loaded.error();
  const auto& [config, policy] = *loaded;
  Rows rows = {{"WORKLOAD", "PORT", "MODE", "MTLS", "PLAINTEXT", "VERDICT"}};
  for (const mesh::Workload& workload : config.mesh->workloads) {
    add_rows(policy.peers, workload, rows);
  }
  return print(render_table(rows));
}

}  // namespace nodepilot
