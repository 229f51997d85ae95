// gRPC server reflection, v1 and v1alpha, for what the public socket serves and nothing else
// (Workload Endpoint section 7). Needs no attestation and no security header: all of it is public.
#pragma once

#include "sds/reflection_catalog.h"
#include "sds/rpc/call.h"

namespace nodepilot {

// They outlive their calls. `more` is of services beyond those of every agent. Thread: loop.
Methods reflection_methods(const ReflectionCatalog::Files& more = {});

}  // namespace nodepilot
