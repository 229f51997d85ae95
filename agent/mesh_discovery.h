// Envoy's listener and cluster discovery (StreamListeners, StreamClusters) for the workloads of
// this node. A caller names its workload as its node's id and gets it only if it is entitled to
// that workload's identity.
#pragma once

#include "agent/mesh_keeper.h"
#include "sds/workload_api.h"

namespace nodepilot {

// `keeper` outlives every call. Thread: loop.
Methods mesh_discovery_methods(const ApiContext& context, MeshKeeper& keeper);

}  // namespace nodepilot
