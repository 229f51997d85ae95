#include "sds/rpc/grpc_headers.h"

#include <algorithm>
#include <charconv>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

using std::chrono::nanoseconds;

constexpr nanoseconds kYear = std::chrono::hours(24 * 365);
constexpr std::string_view kType = "application/grpc";
constexpr std::size_t kMaxMessageBytes = 1024;
constexpr std::string_view kHex = "0123456789ABCDEF";

// Zero for a character that is no unit.
nanoseconds unit(char letter) {
  switch (letter) {
    case 'H':
      return std::chrono::hours(1);
    case 'M':
      return std::chrono::minutes(1);
    case 'S':
      return std::chrono::seconds(1);
    case 'm':
      return std::chrono::milliseconds(1);
    case 'u':
      return std::chrono::microseconds(1);
    case 'n':
      return nanoseconds(1);
    default:
      return nanoseconds(0);
  }
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

expected<nanoseconds> parse_timeout(std::string_view text) {
  std::string_view digits = text.substr(0, text.empty() ? 0 : text.size() - 1);
  nanoseconds step = text.empty() ? nanoseconds(0) : unit(text.back());
  if (digits.empty() || digits.size() > 8 || !std::all_of(digits.begin(), digits.end(), is_digit) ||
      step == nanoseconds(0)) {
    return fail(Code::kInvalidArgument,
                "grpc-timeout " + quote(text.substr(0, 32)) +
                    " must be 1 to 8 digits and a unit: H, M, S, m, u or n");
  }
  std::int64_t count = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), count);
  return count > kYear / step ? kYear : count * step;
}

bool is_grpc_content_type(std::string_view value) {
  if (!value.starts_with(kType)) return false;
  value.remove_prefix(kType.size());
  // "application/grpc-web" is another protocol.
  return value.empty() || value.front() == '+' || value.front() == ';';
}

std::string encode_status_message(std::string_view text) {
  std::string encoded;
  for (char c : text.substr(0, kMaxMessageBytes)) {
    if (c >= ' ' && c <= '~' && c != '%') {
      encoded += c;
      continue;
    }
    auto byte = static_cast<unsigned char>(c);
    encoded += {'%', kHex[byte >> 4], kHex[byte & 15]};
  }
  return encoded;
}

}  // namespace nodepilot
