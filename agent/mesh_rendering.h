// What of the configuration the renderer of mesh policy works on. Thread: any.
#pragma once

#include "agent/config/config.h"
#include "agent/mesh/bootstrap.h"

namespace nodepilot {

mesh::Surroundings mesh_surroundings(const Config& config);

// The workload of that name, of config.mesh; null if there is none.
const mesh::Workload* find_workload(const Config& config, std::string_view name);

}  // namespace nodepilot
