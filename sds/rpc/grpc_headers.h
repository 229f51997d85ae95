// The values of gRPC's header fields (PROTOCOL-HTTP2 of the gRPC project). Pure.
// Thread: any.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace nodepilot {

// grpc-timeout: one to eight digits and a unit of H, M, S, m, u or n. More than a year is held
// for a year: nobody will see the difference.
expected<std::chrono::nanoseconds> parse_timeout(std::string_view text);

// content-type "application/grpc", also with a "+codec" or ";parameter" after it.
bool is_grpc_content_type(std::string_view value);

// grpc-message: what is not printable ASCII, and the percent sign, as %XX. A text over a KiB is
// cut, since clients refuse large trailers.
std::string encode_status_message(std::string_view text);

}  // namespace nodepilot
