// gRPC server reflection, v1 and v1alpha, for what the public socket serves and nothing else
// (Workload Endpoint section 7). Needs no attestation and no security header: all of it is public.
#pragma once

#include "sds/rpc/call.h"

namespace nodepilot {

// They outlive their calls. Thread: loop.
Methods reflection_methods();

}  // namespace nodepilot
