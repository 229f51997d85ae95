// The unary half of the Workload API's JWT profile: FetchJWTSVID and ValidateJWTSVID
// (sections 6.2.1 and 6.2.3).
#pragma once

#include <memory>

#include "sds/rpc/call.h"
#include "sds/workload_api.h"

namespace nodepilot {

// Each expects one request message. Thread: loop.
std::unique_ptr<CallHandler> fetch_jwt_svid(const ApiContext& context, Call& call);
std::unique_ptr<CallHandler> validate_jwt_svid_call(const ApiContext& context, Call& call);

}  // namespace nodepilot
