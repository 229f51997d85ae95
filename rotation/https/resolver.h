// Names to addresses, in bounded time. For this room only.
#pragma once

#include <utility>
//
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <stop_token>
#include <vector>

#include "rotation/https/url.h"

namespace nodepilot {

// Where to connect for `url`, the first 8 addresses. Blocks until `deadline` at most, though the
// system's resolver knows no deadline: one that is late is left behind on a thread of its own.
// Thread: worker.
expected<std::vector<boost::asio::ip::tcp::endpoint>> resolve(
    const Url& url, std::chrono::steady_clock::time_point deadline, const std::stop_token& stop);

}  // namespace nodepilot
