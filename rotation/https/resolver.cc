#include "rotation/https/resolver.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <future>
#include <system_error>
#include <thread>

namespace nodepilot {
namespace {

using boost::asio::ip::tcp;
using Endpoints = std::vector<tcp::endpoint>;

constexpr std::size_t kMaxAddresses = 8;
constexpr auto kStopCheck = std::chrono::milliseconds(50);

expected<Endpoints> ask_system(const std::string& host, std::uint16_t port) {
  boost::asio::io_context io{1};
  tcp::resolver resolver(io);
  boost::system::error_code error;
  auto found = resolver.resolve(host, std::to_string(port), tcp::resolver::numeric_service, error);
  if (error) return fail(Code::kUnavailable, "resolve " + host + ": " + error.message());
  Endpoints endpoints;
  for (const auto& entry : found) {
    if (endpoints.size() < kMaxAddresses) endpoints.push_back(entry.endpoint());
  }
  if (endpoints.empty()) return fail(Code::kUnavailable, "resolve " + host + ": no address");
  return endpoints;
}

}  // namespace

expected<Endpoints> resolve(const Url& url, std::chrono::steady_clock::time_point deadline,
                            const std::stop_token& stop) {
  if (url.host_is_address()) {
    return Endpoints{{boost::asio::ip::make_address(url.host()), url.port()}};
  }
  std::packaged_task<expected<Endpoints>()> task(
      [host = url.host(), port = url.port()] { return ask_system(host, port); });
  auto answer = task.get_future();
  try {
    std::thread(std::move(task)).detach();
  } catch (const std::system_error& error) {
    return fail(Code::kResourceExhausted, std::string("resolve: start a thread: ") + error.what());
  }
  while (answer.wait_for(kStopCheck) != std::future_status::ready) {
    if (stop.stop_requested()) return fail(Code::kCancelled, "stopped");
    if (std::chrono::steady_clock::now() >= deadline) {
      return fail(Code::kDeadlineExceeded, "resolve " + url.host() + ": no answer in time");
    }
  }
  return answer.get();
}

}  // namespace nodepilot
