// grpc.health.v1.Health: may workloads be sent to this agent? SERVING once the CA has told its
// roots. That the CA is away later changes nothing: what is held is served.
// Needs no attestation and no security header: it tells nothing about anyone.
#pragma once

#include "rotation/identity_store.h"
#include "sds/rpc/call.h"

namespace nodepilot {

// `store` outlives every call. Known services: "" and the two that hand out identities; their
// state is one. Thread: loop.
Methods health_methods(IdentityStore& store);

}  // namespace nodepilot
