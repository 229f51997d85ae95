// grpc.health.v1.Health: may workloads be sent to this agent? SERVING once the CA has told its
// roots. That the CA is away later changes nothing: what is held is served.
// Needs no attestation and no security header: it tells nothing about anyone.
#pragma once

#include <string>
#include <vector>

#include "rotation/identity_store.h"
#include "sds/rpc/call.h"

namespace nodepilot {

// `store` outlives every call. Known services: "", the two that hand out identities, and `more`;
// their state is one. Thread: loop.
Methods health_methods(IdentityStore& store, const std::vector<std::string>& more = {});

}  // namespace nodepilot
