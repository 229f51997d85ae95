// The calls that a load makes.
#pragma once

#include <optional>
#include <string>

#include "test/bench/load_client.h"

namespace nodepilot {

// A stream of X.509 SVIDs: FetchX509SVID of the Workload API ("workload"), or StreamSecrets of SDS
// ("sds"), which subscribes to everything and acknowledges what comes.
std::optional<Request> svid_stream(const std::string& api);

// "x509": FetchX509SVID, to be cancelled after its first message. "jwt": FetchJWTSVID.
// "validate": ValidateJWTSVID of what is no token, which costs the server the round trip only.
std::optional<Request> single_call(const std::string& name);

// nodepilot's own: renew every identity now, and wait for nobody.
Request rotate_all();

}  // namespace nodepilot
