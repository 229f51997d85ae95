#include "agent/bundle_endpoint.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <list>
#include <optional>

#include "agent/base/fd.h"
#include "agent/base/log.h"
#include "agent/base/token_bucket.h"

namespace nodepilot {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using Reply = http::response<http::string_body>;
using Document = std::shared_ptr<const std::string>;

constexpr std::uint32_t kMaxHeaderBytes = 8 * 1024;
constexpr std::chrono::milliseconds kBackOff{100};
constexpr int kBacklog = 128;

Reply make_reply(http::status status, std::string body, const char* type = "text/plain") {
  Reply reply(status, 11);
  reply.set(http::field::content_type, type);
  reply.set(http::field::connection, "close");
  reply.body() = std::move(body);
  reply.content_length(reply.body().size());
  return reply;
}

// The answer to `request`; `document` is null while there is none.
Reply answer(const http::request<http::empty_body>& request, const std::string& path,
             const Document& document) {
  if (request.target() != beast::string_view(path)) {
    return make_reply(http::status::not_found, "not found\n");
  }
  bool is_head = request.method() == http::verb::head;
  if (request.method() != http::verb::get && !is_head) {
    Reply reply = make_reply(http::status::method_not_allowed, "only GET and HEAD\n");
    reply.set(http::field::allow, "GET, HEAD");
    return reply;
  }
  if (!document) {
    Reply reply = make_reply(http::status::service_unavailable, "no bundle yet\n");
    reply.set(http::field::retry_after, "5");
    return reply;
  }
  Reply reply = make_reply(http::status::ok, *document, "application/json");
  if (is_head) reply.body().clear();  // the length stays
  return reply;
}

// Handshake, request, answer, end. Lives as long as one of its operations; the deadline or close()
// ends that.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, std::shared_ptr<TlsContext> tls, const std::string& path,
             Document document, std::function<void()> on_end)
      : tls_(std::move(tls)),
        path_(path),
        document_(std::move(document)),
        on_end_(std::move(on_end)),
        stream_(std::move(socket), *tls_) {
    parser_.header_limit(kMaxHeaderBytes);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() {
    if (on_end_) on_end_();
  }

  void start(Duration timeout) {
    beast::get_lowest_layer(stream_).expires_after(timeout);
    stream_.async_handshake(asio::ssl::stream_base::server,
                            [self = shared_from_this()](error_code error) {
                              if (!error) self->read();
                            });
  }

  void close() {
    on_end_ = nullptr;
    beast::get_lowest_layer(stream_).close();
  }

 private:
  void read() {
    http::async_read_header(
        stream_, buffer_, parser_,
        [self = shared_from_this()](error_code error, std::size_t) { self->write(error); });
  }

  void write(error_code error) {
    bool is_http = error.category() == make_error_code(http::error::end_of_stream).category();
    bool is_answered = !error || (is_http && error != http::error::end_of_stream);
    if (!is_answered) return;  // the network, or the deadline
    reply_ = error ? make_reply(http::status::bad_request, "bad request\n")
                   : answer(parser_.get(), path_, document_);
    http::async_write(stream_, reply_, [self = shared_from_this()](error_code failed, std::size_t) {
      if (!failed) self->finish();
    });
  }

  void finish() {
    stream_.async_shutdown([self = shared_from_this()](error_code) {});
  }

  const std::shared_ptr<TlsContext> tls_;
  const std::string path_;
  const Document document_;
  std::function<void()> on_end_;
  asio::ssl::stream<beast::tcp_stream> stream_;
  beast::flat_buffer buffer_{kMaxHeaderBytes};
  http::request_parser<http::empty_body> parser_;
  Reply reply_;
};

expected<Fd> listen_on(const tcp::endpoint& endpoint) {
  std::string what = fmt::format("bundle endpoint: listen on {} port {}",
                                 endpoint.address().to_string(), endpoint.port());
  Fd socket(::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno(what, errno);
  int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(socket.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0 ||
      ::listen(socket.get(), kBacklog) != 0) {
    return fail_errno(what, errno);
  }
  return socket;
}

class TcpBundleEndpoint final : public BundleEndpoint {
 public:
  TcpBundleEndpoint(Loop& loop, Options options)
      : options_(std::move(options)),
        acceptor_(loop.io()),
        pause_(loop.io()),
        budget_(options_.new_per_second, options_.new_per_second) {}
  ~TcpBundleEndpoint() override {
    auto open = std::move(connections_);
    for (const auto& weak : open) {
      if (auto connection = weak.lock()) connection->close();
    }
  }

  expected<void> listen() {
    error_code error;
    auto address = asio::ip::make_address(options_.address, error);
    if (error) {
      return fail(Code::kInvalidArgument, "bundle endpoint: no IP address: " + options_.address);
    }
    tcp::endpoint endpoint(address, options_.port);
    Fd socket = TRY(listen_on(endpoint));
    acceptor_.assign(endpoint.protocol(), socket.get(), error);
    if (error) return fail(Code::kInternal, "bundle endpoint: " + error.message());
    socket.release();
    return {};
  }

  void show(std::shared_ptr<TlsContext> tls) override {
    bool first = !tls_;
    tls_ = std::move(tls);
    if (first) wait();
  }
  void publish(std::string document) override {
    document_ = std::make_shared<const std::string>(std::move(document));
  }
  std::uint16_t port() const override { return acceptor_.local_endpoint().port(); }

 private:
  // A handler that is void once it was cancelled or this is gone.
  template <class Step>
  auto later(Step step) {
    return [alive = std::weak_ptr(alive_), step](error_code error) {
      if (error != asio::error::operation_aborted && !alive.expired()) step();
    };
  }

  void wait() {
    acceptor_.async_wait(tcp::acceptor::wait_read, later([this] { accept(); }));
  }

  void accept() {
    auto now = std::chrono::steady_clock::now();
    if (!budget_.take(now)) return rest();
    Fd socket(::accept4(acceptor_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) {
      // Out of descriptors or memory: it may pass, and the loop must not spin on it.
      if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) return rest();
      return wait();
    }
    serve(std::move(socket));
    wait();
  }

  void rest() {
    pause_.expires_after(kBackOff);
    pause_.async_wait(later([this] { wait(); }));
  }

  void serve(Fd accepted) {
    tcp::socket socket(acceptor_.get_executor());
    error_code error;
    socket.assign(acceptor_.local_endpoint().protocol(), accepted.get(), error);
    if (error) return;
    accepted.release();
    // A silent crowd must not keep everybody else out.
    if (connections_.size() >= options_.max_connections) {
      auto oldest = connections_.front().lock();
      connections_.pop_front();
      if (oldest) oldest->close();
    }
    auto place = connections_.emplace(connections_.end());
    auto connection =
        std::make_shared<Connection>(std::move(socket), tls_, options_.path, document_,
                                     [this, place] { connections_.erase(place); });
    *place = connection;
    connection->start(options_.timeout);
  }

  const Options options_;
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  TokenBucket budget_;
  std::shared_ptr<TlsContext> tls_;
  Document document_;
  std::list<std::weak_ptr<Connection>> connections_;  // oldest first
  const std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace

expected<std::unique_ptr<BundleEndpoint>> BundleEndpoint::open(Loop& loop, Options options) {
  auto endpoint = std::make_unique<TcpBundleEndpoint>(loop, std::move(options));
  TRY(endpoint->listen());
  return endpoint;
}

}  // namespace nodepilot
