// Tokens as they stand in files.
#pragma once

#include <cstddef>
#include <string>

#include "agent/base/result.h"
#include "agent/base/secret.h"

namespace nodepilot {

// API servers make tokens of one or two KiB; HTTP servers take headers of 8 or 16.
inline constexpr std::size_t kMaxTokenBytes = std::size_t{16} * 1024;

// The token that a file called `name` holds, white space around it left out; fit to stand in a
// header (RFC 6750 section 2.1), never empty. Errors quote nothing of it. Thread: any.
expected<SecretBytes> parse_bearer_token(const SecretBytes& bytes, const std::string& name);

}  // namespace nodepilot
