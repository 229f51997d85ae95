// What every gRPC call of the CLI needs. Thread: main; the calls block.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include "agent/base/time.h"
#include "agent/endpoint_address.h"

namespace nodepilot {

std::shared_ptr<grpc::Channel> open_channel(const EndpointAddress& address);

void set_deadline(grpc::ClientContext& context, Duration timeout);

// The error of a call to `address`, with the address before it. If nobody answers there, it says
// what the kernel says of connecting.
tl::unexpected<Error> call_error(const grpc::Status& status, const EndpointAddress& address);

}  // namespace nodepilot
