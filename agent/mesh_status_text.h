// What `nodepilot mesh status` prints: who speaks plaintext to whom, and which ports may go STRICT.
// Thread: any.
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/mesh/traffic.h"
#include "proto/nodepilot/admin.pb.h"

namespace nodepilot {

struct PortStatus {
  std::string workload;
  std::uint16_t port = 0;
  mesh::MtlsMode mode = mesh::MtlsMode::kPermissive;
  std::string decided_by;
};

// Of one workload's Envoy; the error says why it told nothing.
using EnvoyReport = expected<mesh::EnvoyCounts>;

// `reports` is by workload and has one for each. `plaintext` is what the agent told.
std::string mesh_status_text(const std::vector<PortStatus>& ports,
                             const std::map<std::string, EnvoyReport>& reports,
                             const expected<admin::v1::GetPlaintextResponse>& plaintext);

}  // namespace nodepilot
