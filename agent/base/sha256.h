// SHA-256, for selectors and for versions of public content. The one use of OpenSSL outside
// rotation/pki: a digest, no keys.
// Thread: any.
#pragma once

#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace nodepilot {

// Lower-case hex digest of what `fd` holds from its start; the offset of `fd` is not moved.
// More than `max_bytes` is kResourceExhausted. Blocks while it reads.
expected<std::string> sha256_hex(int fd, std::size_t max_bytes);

// The same of bytes in memory.
std::string sha256_hex(std::string_view bytes);

}  // namespace nodepilot
