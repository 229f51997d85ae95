#include "attest/docker/engine_socket.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <optional>
// Boost 1.74's Asio needs it first.
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

namespace nodepilot {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using Socket = asio::local::stream_protocol::socket;
using ErrorCode = boost::system::error_code;
using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kMaxHeaderBytes = std::size_t{16} * 1024;
constexpr std::size_t kMaxBodyBytes = std::size_t{4} * 1024 * 1024;
constexpr unsigned kHttp11 = 11;

// One connection whose every step is broken off at the same deadline.
class Conversation {
 public:
  explicit Conversation(Duration timeout)
      : deadline_(SteadyClock::now() + timeout), socket_(loop_) {}

  Socket& socket() { return socket_; }

  // `start` begins one operation and is given what takes its end.
  template <class Start>
  ErrorCode run(Start start) {
    std::optional<ErrorCode> result;
    start([&result](ErrorCode error, auto&&...) { result = error; });
    loop_.restart();
    loop_.run_until(deadline_);
    if (result) return *result;
    ErrorCode ignored;
    socket_.close(ignored);
    loop_.run();  // the operation ends now, and must, for it refers to what is ours
    return asio::error::timed_out;
  }

 private:
  const SteadyClock::time_point deadline_;
  asio::io_context loop_;
  Socket socket_;
};

expected<void> check_owner(Socket& socket, uid_t owner) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return fail_errno("get the credentials of who listens", errno);
  }
  if (credentials.uid == owner) return {};
  return fail(Code::kPermissionDenied,
              fmt::format("uid {} listens there, and only uid {} may", credentials.uid, owner));
}

expected<std::string> body_of(http::response<http::string_body>&& answer) {
  if (answer.result() == http::status::ok) return std::move(answer.body());
  auto status = answer.result_int();
  return fail(answer.result() == http::status::not_found ? Code::kNotFound : Code::kUnavailable,
              fmt::format("it answers with status {}", status));
}

expected<std::string> ask(const std::filesystem::path& path, uid_t owner, const std::string& target,
                          Duration timeout) {
  Conversation conversation(timeout);
  Socket& socket = conversation.socket();
  auto failure = [&](const char* what, ErrorCode error) {
    bool late = error == asio::error::timed_out;
    return fail(late ? Code::kDeadlineExceeded : Code::kUnavailable,
                fmt::format("{}: {}", what, error.message()));
  };

  auto connected =
      conversation.run([&](auto end) { socket.async_connect({path.string()}, std::move(end)); });
  if (connected) return failure("connect", connected);
  TRY(check_owner(socket, owner));

  http::request<http::empty_body> request(http::verb::get, target, kHttp11);
  request.set(http::field::host, "localhost");
  request.set(http::field::connection, "close");
  auto sent =
      conversation.run([&](auto end) { http::async_write(socket, request, std::move(end)); });
  if (sent) return failure("send", sent);

  boost::beast::flat_buffer buffer(kMaxHeaderBytes + kMaxBodyBytes);
  http::response_parser<http::string_body> parser;
  parser.header_limit(kMaxHeaderBytes);
  parser.body_limit(kMaxBodyBytes);
  auto received =
      conversation.run([&](auto end) { http::async_read(socket, buffer, parser, std::move(end)); });
  if (received) return failure("receive", received);
  return body_of(parser.release());
}

}  // namespace

expected<std::string> EngineSocket::inspect(const std::string& container_id,
                                            Duration timeout) const {
  auto what = fmt::format("ask the engine at {}", path_.string());
  try {
    auto answer = ask(path_, owner_, fmt::format("/containers/{}/json", container_id), timeout);
    if (!answer) return fail_with(what, answer.error());
    return answer;
  } catch (const std::exception& error) {  // a path too long for a socket
    return fail(Code::kUnavailable, fmt::format("{}: {}", what, error.what()));
  }
}

}  // namespace nodepilot
