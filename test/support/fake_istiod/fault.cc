#include "test/support/fake_istiod/fault.h"

#include <array>

namespace nodepilot::test {
namespace {

// In the order of the enumeration.
constexpr std::array kNames = {
    "none",
    "down",
    "silent",
    "silent-behind-tls",
    "plaintext",
    "other-tls-name",
    "unknown-tls-ca",
    "old-tls",
    "weak-cipher",
    "weak-tls-key",
    "reject",
    "hang",
    "slow",
    "unauthenticated",
    "exhausted",
    "other-key",
    "other-id",
    "two-ids",
    "dns-name",
    "ip-name",
    "email-name",
    "other-case",
    "escaped",
    "expired",
    "not-yet-valid",
    "life",
    "ca-leaf",
    "signing-leaf",
    "no-server-use",
    "no-client-use",
    "name-constraint",
    "unknown-root",
    "empty-chain",
    "no-leaf",
    "no-intermediate",
    "other-order",
    "duplicates",
    "root-in-chain",
    "garbage",
    "garbage-in-pem",
    "truncated",
    "trailing-bytes",
    "hundred-certificates",
    "ten-megabytes",
    "two-roots",
    "other-roots",
    "no-roots",
};
static_assert(kNames.size() == static_cast<std::size_t>(Fault::kNoRoots) + 1);

}  // namespace

std::string to_string(Fault fault) { return kNames.at(static_cast<std::size_t>(fault)); }

std::optional<Fault> parse_fault(std::string_view name) {
  for (std::size_t place = 0; place < kNames.size(); ++place) {
    if (kNames.at(place) == name) return static_cast<Fault>(place);
  }
  return std::nullopt;
}

}  // namespace nodepilot::test
