#include "agent/mesh_rendering.h"

#include <algorithm>

namespace nodepilot {

mesh::Surroundings mesh_surroundings(const Config& config) {
  return {.trust_domain = config.trust_domain,
          .aliases = config.mesh ? config.mesh->trust_domain_aliases : std::vector<TrustDomain>(),
          .agent_socket = config.listen.path,
          .certificate = config.sds.default_identity,
          .roots = config.sds.own_roots};
}

const mesh::Workload* find_workload(const Config& config, std::string_view name) {
  if (!config.mesh) return nullptr;
  const auto& workloads = config.mesh->workloads;
  auto found = std::find_if(workloads.begin(), workloads.end(),
                            [&](const mesh::Workload& workload) { return workload.name == name; });
  return found == workloads.end() ? nullptr : &*found;
}

}  // namespace nodepilot
