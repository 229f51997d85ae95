// Envoy's access log service (StreamAccessLogs), where the Envoys of this node's workloads report
// who comes to a PERMISSIVE port without an identity of the mesh. A caller is heard for its own
// workload alone.
#pragma once

#include "agent/mesh/plaintext_sources.h"
#include "agent/mesh_keeper.h"
#include "sds/workload_api.h"

namespace nodepilot {

// `keeper` and `sources` outlive every call. Thread: loop.
Methods mesh_access_log_methods(const ApiContext& context, MeshKeeper& keeper,
                                mesh::PlaintextSources& sources);

}  // namespace nodepilot
