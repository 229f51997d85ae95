// When a server wants to be asked again (RFC 9110, 10.2.3). For this room only.
#pragma once

#include <optional>
#include <string_view>

#include "agent/base/time.h"

namespace nodepilot {

// The value of a Retry-After header that came at `now`: whole seconds, or a date as servers must
// write it today ("Sun, 06 Nov 1994 08:49:37 GMT"). Never negative, a day at most; empty for
// anything else. Thread: any.
std::optional<Duration> parse_retry_after(std::string_view text, Time now);

}  // namespace nodepilot
