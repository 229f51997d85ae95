// Calls to the admin socket. Thread: main; they block.
#pragma once

#include "agent/base/result.h"
#include "agent/base/time.h"
#include "agent/endpoint_address.h"
#include "proto/nodepilot/admin.pb.h"

namespace nodepilot {

expected<admin::v1::GetStatusResponse> get_status(const EndpointAddress& admin, Duration timeout);

expected<admin::v1::RotateResponse> rotate(const EndpointAddress& admin,
                                           const admin::v1::RotateRequest& request,
                                           Duration timeout);

expected<admin::v1::GetBundlesResponse> get_bundles(const EndpointAddress& admin,
                                                    const admin::v1::GetBundlesRequest& request,
                                                    Duration timeout);

expected<admin::v1::ExplainResponse> explain(const EndpointAddress& admin,
                                             const admin::v1::ExplainRequest& request,
                                             Duration timeout);

expected<admin::v1::DescribeResponse> describe(const EndpointAddress& admin,
                                               const admin::v1::DescribeRequest& request,
                                               Duration timeout);

expected<admin::v1::GetPlaintextResponse> get_plaintext(const EndpointAddress& admin,
                                                        Duration timeout);

}  // namespace nodepilot
