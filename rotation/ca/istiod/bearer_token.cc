#include "rotation/ca/istiod/bearer_token.h"

#include <algorithm>
#include <string_view>

namespace nodepilot {
namespace {

bool is_space(std::uint8_t c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// What a bearer token is made of (RFC 6750 section 2.1).
bool is_token_char(std::uint8_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-._~+/=").find(static_cast<char>(c)) != std::string_view::npos;
}

}  // namespace

expected<SecretBytes> parse_bearer_token(const SecretBytes& bytes, const std::string& name) {
  auto begin = std::find_if_not(bytes.begin(), bytes.end(), is_space);
  auto end = std::find_if_not(bytes.rbegin(), std::make_reverse_iterator(begin), is_space).base();
  if (begin == end) return fail(Code::kFailedPrecondition, "read " + name + ": is empty");
  if (!std::all_of(begin, end, is_token_char)) {
    return fail(
        Code::kFailedPrecondition,
        "read " + name + ": holds no token: only A-Z a-z 0-9 - . _ ~ + / = may stand in one");
  }
  return SecretBytes(begin, end);
}

}  // namespace nodepilot
