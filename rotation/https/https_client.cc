#include "rotation/https/https_client.h"

// Boost 1.74's asio uses std::exchange without including it.
#include <utility>
//
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <functional>
#include <limits>

#include "rotation/https/resolver.h"
#include "rotation/https/retry_after.h"
#include "rotation/https/server_check.h"

namespace nodepilot {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

constexpr std::uint32_t kMaxHeaderBytes = 16 * 1024;
constexpr std::size_t kPieceBytes = std::size_t{64} * 1024;
constexpr Duration kStopCheck = std::chrono::milliseconds(50);

// Like Beast's own, in wiping memory: what is sent may hold a token.
using SecretFields = http::basic_fields<WipingAllocator<char>>;
using SecretBody = http::vector_body<std::uint8_t, WipingAllocator<std::uint8_t>>;
using Message = http::request<SecretBody, SecretFields>;

const char* name_of(HttpsMethod method) { return method == HttpsMethod::kGet ? "GET" : "POST"; }

expected<void> set_header(Message& message, const HttpsHeader& header) {
  std::string_view value(reinterpret_cast<const char*>(header.value.data()), header.value.size());
  // Anything else could end the line and forge what follows.
  auto is_text = [](char c) { return c == '\t' || (c >= ' ' && c <= '~'); };
  if (!std::all_of(value.begin(), value.end(), is_text)) {
    return fail(Code::kInvalidArgument,
                "the value of the header " + header.name + " may hold printable ASCII only");
  }
  message.set(header.name, {value.data(), value.size()});
  return {};
}

// One request: resolve, connect, prove the server, write, read. Each step runs the private loop
// until it is done or the time is up.
class Exchange {
 public:
  // `request` outlives it.
  explicit Exchange(const HttpsRequest& request)
      : request_(request),
        deadline_(std::chrono::steady_clock::now() + request.timeout),
        check_(request) {
    parser_.header_limit(kMaxHeaderBytes);
    // Beast 1.74 counts bytes twice that do not fit into a piece; read_piece() counts.
    parser_.body_limit(std::numeric_limits<std::uint64_t>::max());
  }

  // Everything up to the body, which is left out.
  expected<HttpsReply> open();
  // The next piece, valid until the next call; empty at the end.
  expected<std::string_view> read_piece();

 private:
  using Stream = asio::ssl::stream<asio::ip::tcp::socket>;
  using Done = std::function<void(error_code)>;

  // Starts an operation, which calls what it is given when it is done.
  expected<void> step(const char* what, std::chrono::steady_clock::time_point end,
                      const std::function<void(Done)>& start);
  expected<void> connect();
  expected<void> prove_server();
  expected<void> write();
  expected<HttpsReply> read_head();
  template <class Start>
  expected<void> read_step(Start start);
  expected<void> check_size(std::uint64_t bytes) const;

  const HttpsRequest& request_;
  const std::chrono::steady_clock::time_point deadline_;
  ServerCheck check_;
  asio::io_context io_{1};
  std::optional<TlsContext> context_;
  std::optional<Stream> stream_;
  boost::beast::basic_flat_buffer<WipingAllocator<char>> buffer_;
  http::response_parser<http::buffer_body> parser_;
  SecretBytes piece_;
  std::uint64_t read_bytes_ = 0;  // of the body
};

expected<void> Exchange::step(const char* what, std::chrono::steady_clock::time_point end,
                              const std::function<void(Done)>& start) {
  std::optional<error_code> result;
  start([&result](error_code error) { result = error; });
  io_.restart();
  while (!result && !request_.stop.stop_requested() && std::chrono::steady_clock::now() < end) {
    io_.run_until(std::min(end, std::chrono::steady_clock::now() + kStopCheck));
  }
  if (!result) {
    error_code ignored;
    stream_->next_layer().close(ignored);
    // What was started ends now; its handler must not outlive `result`.
    io_.restart();
    io_.run();
    if (request_.stop.stop_requested()) return fail(Code::kCancelled, "stopped");
    return fail(Code::kDeadlineExceeded, std::string(what) + ": no answer in time");
  }
  if (*result) return fail(Code::kUnavailable, std::string(what) + ": " + result->message());
  return {};
}

expected<HttpsReply> Exchange::open() {
  context_ = TRY(make_client_tls());
  if (request_.client) TRY(show(*context_, request_.client->chain, request_.client->key));
  TRY(check_.install(*context_));
  TRY(connect());
  TRY(prove_server());
  TRY(write());
  return read_head();
}

expected<void> Exchange::connect() {
  auto addresses = TRY(resolve(request_.url, deadline_, request_.stop));
  expected<void> connected;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    // One that swallows packets must leave time for the others.
    auto now = std::chrono::steady_clock::now();
    auto share = (deadline_ - now) / (addresses.size() - i);
    stream_.emplace(io_, *context_);
    stream_->next_layer().open(addresses[i].protocol());
    ::fcntl(stream_->next_layer().native_handle(), F_SETFD, FD_CLOEXEC);
    connected = step("connect", now + share, [&](const Done& done) {
      stream_->next_layer().async_connect(addresses[i], done);
    });
    if (connected || connected.error().code == Code::kCancelled) break;
  }
  return connected;
}

expected<void> Exchange::prove_server() {
  TRY(check_.install(stream_->native_handle()));
  auto shaken = step("TLS handshake", deadline_,
                     [&](const Done& done) { stream_->async_handshake(Stream::client, done); });
  if (shaken) return {};
  if (auto why = check_.refusal(stream_->native_handle())) {
    return fail(Code::kUnauthenticated, "the server's certificate is refused: " + *why);
  }
  return shaken;
}

expected<void> Exchange::write() {
  bool has_body = request_.method == HttpsMethod::kPost;
  Message message(has_body ? http::verb::post : http::verb::get, request_.url.target(), 11);
  message.set(http::field::host, request_.url.authority());
  message.set(http::field::user_agent, "nodepilot");
  message.set(http::field::accept, "*/*");
  message.set(http::field::connection, "close");
  for (const HttpsHeader& header : request_.headers) TRY(set_header(message, header));
  if (has_body) {
    message.body() = request_.body;
    message.content_length(request_.body.size());
  }
  return step("send the request", deadline_, [&](const Done& done) {
    http::async_write(*stream_, message, [done](error_code error, std::size_t) { done(error); });
  });
}

expected<HttpsReply> Exchange::read_head() {
  TRY(read_step([&](auto done) { http::async_read_header(*stream_, buffer_, parser_, done); }));
  TRY(check_size(parser_.content_length().value_or(0)));
  const auto& message = parser_.get();
  auto field = [&](http::field name) {
    auto value = message[name];
    return std::string(value.data(), value.size());
  };
  return HttpsReply{.status = message.result_int(),
                    .content_type = field(http::field::content_type),
                    .location = field(http::field::location),
                    .retry_after = parse_retry_after(field(http::field::retry_after), request_.now),
                    .body = {}};
}

expected<std::string_view> Exchange::read_piece() {
  piece_.resize(kPieceBytes);
  auto& body = parser_.get().body();
  body.data = piece_.data();
  body.size = piece_.size();
  while (!parser_.is_done() && body.size == piece_.size()) {
    TRY(read_step([&](auto done) { http::async_read(*stream_, buffer_, parser_, done); }));
  }
  std::string_view piece(reinterpret_cast<const char*>(piece_.data()), piece_.size() - body.size);
  read_bytes_ += piece.size();
  TRY(check_size(read_bytes_));
  return piece;
}

expected<void> Exchange::check_size(std::uint64_t bytes) const {
  if (bytes <= request_.max_body_bytes) return {};
  return fail(Code::kDataLoss, fmt::format("read the answer: its body is larger than {} bytes",
                                           request_.max_body_bytes));
}

template <class Start>
expected<void> Exchange::read_step(Start start) {
  const char* what = "read the answer";
  error_code failure;
  auto read = step(what, deadline_, [&](const Done& done) {
    start([&failure, done](error_code error, std::size_t) {
      if (error == http::error::need_buffer) error = {};  // the piece is full
      failure = error;
      done(error);
    });
  });
  if (failure.category() == make_error_code(http::error::end_of_stream).category()) {
    return fail(Code::kDataLoss, fmt::format("{}: no HTTP: {}", what, failure.message()));
  }
  return read;
}

std::string name_of(const HttpsRequest& request) {
  return std::string(name_of(request.method)) + " " + request.url.str();
}

// What `step` yields, its error with the request's name before it. Asio and Beast throw when they
// are out of descriptors or memory.
template <class Step>
auto guarded(const HttpsRequest& request, Step step) -> decltype(step()) {
  try {
    auto done = step();
    if (!done) return fail_with(name_of(request), done.error());
    return done;
  } catch (const std::exception& error) {
    return fail(Code::kInternal, name_of(request) + ": " + error.what());
  }
}

class OpenExchange : public HttpsStream {
 public:
  explicit OpenExchange(HttpsRequest request) : request_(std::move(request)) {}

  expected<void> open() {
    head_ = TRY(guarded(request_, [this] { return exchange_.emplace(request_).open(); }));
    return {};
  }
  const HttpsReply& head() const override { return head_; }
  expected<std::string_view> read() override {
    return guarded(request_, [this] { return exchange_->read_piece(); });
  }

 private:
  const HttpsRequest request_;
  std::optional<Exchange> exchange_;
  HttpsReply head_;
};

expected<HttpsReply> send(const HttpsRequest& request) {
  Exchange exchange(request);
  HttpsReply reply = TRY(exchange.open());
  while (true) {
    auto piece = TRY(exchange.read_piece());
    if (piece.empty()) return reply;
    reply.body += piece;
  }
}

}  // namespace

expected<HttpsReply> https_send(const HttpsRequest& request) {
  return guarded(request, [&] { return send(request); });
}

expected<std::unique_ptr<HttpsStream>> https_open(HttpsRequest request) {
  auto stream = std::make_unique<OpenExchange>(std::move(request));
  TRY(stream->open());
  return stream;
}

}  // namespace nodepilot
