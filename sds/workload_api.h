// The SPIFFE Workload API: the X.509 and the JWT profile. The WIT profile answers UNIMPLEMENTED.
#pragma once

#include "agent/base/clock.h"
#include "rotation/identity_store.h"
#include "rotation/jwt_svid_cache.h"
#include "sds/caller.h"
#include "sds/refusals.h"
#include "sds/rpc/call.h"

namespace nodepilot {

// What the APIs of the public socket work on; all outlive every call.
struct ApiContext {
  Clock& clock;
  IdentityStore& store;
  CallerIdentifier& callers;
  Refusals& refusals;
  Workers& workers;         // for what computes long, as checking a token
  JwtSvidCache* jwt_svids;  // null if the CA signs none
  // Hears, before an SVID is demanded, which process is entitled to which entries; keeps the answer
  // as long as that stream goes on. May be empty.
  std::function<std::shared_ptr<void>(const std::shared_ptr<const Peer>&,
                                      const std::vector<EntryPtr>&)>
      on_caller{};
  // Hears that a client of SDS has rejected what it was sent (NACK).
  std::function<void()> on_rejection = [] {};
  // How long a stream that is entitled to an SVID waits for its first before UNAVAILABLE.
  Duration first_svid_timeout = std::chrono::seconds(10);
  std::size_t workload_request_bytes = std::size_t{16} * 1024;
  std::size_t sds_request_bytes = std::size_t{256} * 1024;
};

// Thread: loop.
Methods workload_api_methods(const ApiContext& context);

}  // namespace nodepilot
