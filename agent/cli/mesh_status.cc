#include "agent/cli/admin_client.h"
#include "agent/cli/commands.h"
#include "agent/cli/mesh_policy.h"
#include "agent/envoy_admin.h"
#include "agent/mesh_status_text.h"

namespace nodepilot {
namespace {

constexpr Duration kTimeout = std::chrono::seconds(5);

EnvoyReport ask_envoy(const mesh::Workload& workload) {
  if (!workload.admin) {
    return fail(Code::kFailedPrecondition,
                "give the workload the address of its Envoy's \"admin\" interface");
  }
  return mesh::parse_counts(TRY(get_from_admin(*workload.admin, mesh::kCountsTarget)));
}

}  // namespace

ExitCode execute(const MeshStatusOptions& options) {
  auto loaded = load_mesh(options.config);
  if (!loaded) return loaded.error();
  const auto& [config, policy] = *loaded;
  std::vector<PortStatus> ports;
  std::map<std::string, EnvoyReport> reports;
  for (const mesh::Workload& workload : config.mesh->workloads) {
    if (workload.ports.empty()) continue;
    reports.emplace(workload.name, ask_envoy(workload));
    for (const mesh::Port& port : workload.ports) {
      auto verdict = policy.peers.resolve(workload.name_space, workload.labels, port.port);
      ports.push_back({workload.name, port.port, verdict.mode, origin_of(verdict)});
    }
  }
  auto admin = EndpointAddress::of_path(config.admin.path.string());
  return print(mesh_status_text(ports, reports, get_plaintext(admin, kTimeout)));
}

}  // namespace nodepilot
