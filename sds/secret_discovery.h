// Envoy's SDS v3, state of the world. Delta and fetch answer UNIMPLEMENTED.
#pragma once

#include "sds/workload_api.h"

namespace nodepilot {

// Thread: loop.
Methods secret_discovery_methods(const ApiContext& context);

}  // namespace nodepilot
