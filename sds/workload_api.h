// The SPIFFE Workload API, X.509 profile. The other RPCs answer UNIMPLEMENTED.
#pragma once

#include "agent/base/clock.h"
#include "rotation/identity_store.h"
#include "sds/caller.h"
#include "sds/rpc/call.h"

namespace nodepilot {

// What the APIs of the public socket work on; all outlive every call.
struct ApiContext {
  Clock& clock;
  IdentityStore& store;
  CallerIdentifier& callers;
  // How long a stream that is entitled to an SVID waits for its first before UNAVAILABLE.
  Duration first_svid_timeout = std::chrono::seconds(10);
  std::size_t workload_request_bytes = std::size_t{16} * 1024;
  std::size_t sds_request_bytes = std::size_t{256} * 1024;
};

// Thread: loop.
Methods workload_api_methods(const ApiContext& context);

}  // namespace nodepilot
