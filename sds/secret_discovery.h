// Envoy's SDS v3: state of the world, delta and fetch.
#pragma once

#include "sds/secret_files.h"
#include "sds/secret_resources.h"
#include "sds/workload_api.h"

namespace nodepilot {

// Thread: loop. `options` and `files` outlive every call.
Methods secret_discovery_methods(const ApiContext& context, const SecretOptions& options,
                                 SecretFiles& files);

}  // namespace nodepilot
