// JSON from outside, read as one value or refused. Thread: any.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "agent/base/result.h"

namespace nodepilot {

struct JsonLimits {
  std::size_t max_bytes;
  std::size_t max_depth;  // of arrays and objects within each other; a bare value has depth 0
};

// One JSON text (RFC 8259) and nothing after it. kInvalidArgument for a member given twice in one
// object, for text that is not UTF-8, and beyond the limits; the error never quotes a value.
// Integers are kept exactly if they fit 64 bits, and otherwise become floating point.
expected<nlohmann::json> parse_strict_json(std::string_view text, JsonLimits limits);

}  // namespace nodepilot
