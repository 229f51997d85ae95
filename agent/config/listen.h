// Where to listen for TCP, as the configuration says it.
// Thread: any.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace nodepilot {

struct ListenAddress {
  std::string address{};  // IPv4 or IPv6
  std::uint16_t port = 0;
};

// "0.0.0.0:8443" or "[::]:8443".
expected<ListenAddress> parse_listen(std::string_view text);

}  // namespace nodepilot
