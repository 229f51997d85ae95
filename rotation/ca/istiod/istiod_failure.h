// What a failed CreateCertificate tells, as an Error. For the .cc files of this room only.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <string>

#include "agent/base/result.h"
#include "agent/base/secret.h"
#include "agent/base/time.h"

namespace nodepilot {

// "ADDRESS: CODE: "what the server says"", bounded and escaped, with retry_after if the server said
// when to come again (google.rpc.RetryInfo, or the trailer grpc-retry-pushback-ms). Whatever in it
// repeats `token` is blotted out. `timeout` is what the call had.
Error istiod_failure(const std::string& address, const grpc::Status& status,
                     const grpc::ClientContext& context, const SecretBytes& token,
                     Duration timeout);

}  // namespace nodepilot
