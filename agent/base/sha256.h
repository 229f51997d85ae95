// SHA-256 of a file, for selectors. The one use of OpenSSL outside rotation/pki: a digest, no keys.
// Thread: any; blocks while it reads.
#pragma once

#include <string>

#include "agent/base/result.h"

namespace nodepilot {

// Lower-case hex digest of what `fd` holds from its start; the offset of `fd` is not moved.
// More than `max_bytes` is kResourceExhausted.
expected<std::string> sha256_hex(int fd, std::size_t max_bytes);

}  // namespace nodepilot
