// All that the public socket serves for a mesh, and what health and reflection tell of it.
#pragma once

#include <string>
#include <vector>

#include "agent/mesh/plaintext_sources.h"
#include "agent/mesh_keeper.h"
#include "sds/reflection_catalog.h"
#include "sds/workload_api.h"

namespace nodepilot {

// `keeper` and `sources` outlive every call. Thread: loop.
Methods mesh_methods(const ApiContext& context, MeshKeeper& keeper,
                     mesh::PlaintextSources& sources);

// The services, and what they wrap in Any. Thread: any.
ReflectionCatalog::Files mesh_files();
std::vector<std::string> mesh_service_names();

}  // namespace nodepilot
