// The parts of a gRPC reply, as header blocks. Thread: loop.
#pragma once

#include <cstdint>

#include "sds/rpc/call.h"
#include "sds/rpc/http2_session.h"

namespace nodepilot {

// Begins a reply that has messages; send_trailers() ends it.
void send_headers(Http2Session& session, std::int32_t stream);
void send_trailers(Http2Session& session, std::int32_t stream, const Status& status);

// The whole of a reply without messages ("trailers-only").
void send_status(Http2Session& session, std::int32_t stream, const Status& status);

// The whole of a reply to what was not gRPC.
void send_http_status(Http2Session& session, std::int32_t stream, int http_status);

}  // namespace nodepilot
