#include "agent/envoy_admin.h"

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

namespace nodepilot {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

constexpr auto kPatience = std::chrono::seconds(5);
constexpr std::uint64_t kMaxBody = std::uint64_t{16} * 1024 * 1024;

using Endpoint = asio::generic::stream_protocol::endpoint;

expected<Endpoint> endpoint_of(const mesh::AdminAddress& admin) {
  if (const auto* path = std::get_if<std::filesystem::path>(&admin)) {
    // Longer paths than the kernel takes throw.
    if (path->native().size() > 103) {
      return fail(Code::kInvalidArgument, path->string() + ": too long for a socket");
    }
    return Endpoint(asio::local::stream_protocol::endpoint(path->string()));
  }
  const auto& socket = std::get<mesh::SocketAddress>(admin);
  boost::system::error_code error;
  auto ip = asio::ip::make_address(socket.ip, error);
  if (error) return fail(Code::kInvalidArgument, socket.ip + ": " + error.message());
  return Endpoint(asio::ip::tcp::endpoint(ip, socket.port));
}

std::string text_of(const mesh::AdminAddress& admin) {
  if (const auto* path = std::get_if<std::filesystem::path>(&admin)) return path->string();
  const auto& socket = std::get<mesh::SocketAddress>(admin);
  return socket.ip + ":" + std::to_string(socket.port);
}

// One request on one connection; the last step's error.
struct Exchange {
  Exchange(asio::io_context& io, const std::string& target)
      : stream(io), request(http::verb::get, target, 11) {
    request.set(http::field::host, "admin");
    request.set(http::field::connection, "close");
    parser.body_limit(kMaxBody);
    stream.expires_after(kPatience);
  }

  void run(const Endpoint& endpoint) {
    stream.async_connect(endpoint, [this](auto failed) {
      if (finish(failed)) return;
      http::async_write(stream, request, [this](auto not_sent, std::size_t) {
        if (finish(not_sent)) return;
        // The head by itself: Beast 1.74 heeds no limit for a body that comes along with it.
        http::async_read_header(stream, buffer, parser, [this](auto no_head, std::size_t) {
          if (finish(no_head)) return;
          http::async_read(stream, buffer, parser,
                           [this](auto not_read, std::size_t) { finish(not_read); });
        });
      });
    });
  }

  bool finish(boost::system::error_code failed) {
    error = failed;
    return static_cast<bool>(failed);
  }

  beast::basic_stream<asio::generic::stream_protocol> stream;
  http::request<http::empty_body> request;
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  boost::system::error_code error;
};

}  // namespace

expected<std::string> get_from_admin(const mesh::AdminAddress& admin, const std::string& target) {
  Endpoint endpoint = TRY(endpoint_of(admin));
  asio::io_context io;
  Exchange exchange(io, target);
  exchange.run(endpoint);
  io.run();
  std::string what = "ask Envoy's admin interface at " + text_of(admin);
  if (exchange.error) {
    return fail(Code::kUnavailable, what + ": " + exchange.error.message());
  }
  auto reply = exchange.parser.release();
  if (reply.result() == http::status::ok) return std::move(reply.body());
  return fail(Code::kUnavailable, what + ": HTTP " + std::to_string(reply.result_int()));
}

}  // namespace nodepilot
