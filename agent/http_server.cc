#include "agent/http_server.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <list>
#include <utility>

#include "agent/base/fd.h"
#include "agent/base/token_bucket.h"

namespace nodepilot {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using Reply = http::response<http::string_body>;
using TlsStream = asio::ssl::stream<beast::tcp_stream>;

constexpr std::uint32_t kMaxHeaderBytes = 8 * 1024;
constexpr std::size_t kDrainBytes = 4 * 1024;
constexpr std::size_t kMaxDrainedBytes = 256 * 1024;
constexpr std::chrono::milliseconds kBackOff{100};
constexpr int kBacklog = 128;

Reply make_reply(HttpAnswer answer) {
  Reply reply(http::int_to_status(answer.status), 11);
  reply.set(http::field::content_type, answer.type);
  reply.set(http::field::connection, "close");
  if (answer.retry_after.count() > 0) {
    reply.set(http::field::retry_after, std::to_string(answer.retry_after.count()));
  }
  reply.body() = std::move(answer.body);
  reply.content_length(reply.body().size());
  return reply;
}

Reply reply_to(const http::request<http::empty_body>& request, const HttpServer::Pages& pages) {
  bool is_head = request.method() == http::verb::head;
  if (request.method() != http::verb::get && !is_head) {
    Reply reply = make_reply({.status = 405, .body = "only GET and HEAD\n"});
    reply.set(http::field::allow, "GET, HEAD");
    return reply;
  }
  beast::string_view target = request.target();
  auto answer = pages(std::string_view(target.data(), target.size()));
  if (!answer) return make_reply({.status = 404, .body = "not found\n"});
  Reply reply = make_reply(*std::move(answer));
  if (is_head) reply.body().clear();  // the length stays
  return reply;
}

class Connection {
 public:
  Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  virtual ~Connection() = default;
  virtual void close() = 0;
};

// Handshake if there is TLS, request, answer, end. Lives as long as one of its operations; the
// deadline or close() ends that.
template <class Stream>
class StreamConnection final : public Connection,
                               public std::enable_shared_from_this<StreamConnection<Stream>> {
 public:
  // `stream` is what the stream is made from, which `tls` may own.
  template <class... Args>
  StreamConnection(std::shared_ptr<TlsContext> tls, HttpServer::Pages pages,
                   std::function<void()> on_end, Args&&... stream)
      : tls_(std::move(tls)),
        pages_(std::move(pages)),
        on_end_(std::move(on_end)),
        stream_(std::forward<Args>(stream)...) {
    parser_.header_limit(kMaxHeaderBytes);
  }
  StreamConnection(const StreamConnection&) = delete;
  StreamConnection& operator=(const StreamConnection&) = delete;
  ~StreamConnection() override {
    if (on_end_) on_end_();
  }

  void start(Duration timeout) {
    beast::get_lowest_layer(stream_).expires_after(timeout);
    if constexpr (std::is_same_v<Stream, TlsStream>) {
      stream_.async_handshake(asio::ssl::stream_base::server,
                              [self = this->shared_from_this()](error_code error) {
                                if (!error) self->read();
                              });
    } else {
      read();
    }
  }

  void close() override {
    on_end_ = nullptr;
    pages_ = nullptr;
    beast::get_lowest_layer(stream_).close();
  }

 private:
  void read() {
    http::async_read_header(
        stream_, buffer_, parser_,
        [self = this->shared_from_this()](error_code error, std::size_t) { self->write(error); });
  }

  void write(error_code error) {
    bool is_http = error.category() == make_error_code(http::error::end_of_stream).category();
    bool is_answered = !error || (is_http && error != http::error::end_of_stream);
    if (!is_answered || !pages_) return;  // the network, the deadline, or our end
    reply_ = error ? make_reply({.status = 400, .body = "bad request\n"})
                   : reply_to(parser_.get(), pages_);
    http::async_write(stream_, reply_,
                      [self = this->shared_from_this()](error_code failed, std::size_t) {
                        if (!failed) self->finish();
                      });
  }

  void finish() {
    if constexpr (std::is_same_v<Stream, TlsStream>) {
      stream_.async_shutdown([self = this->shared_from_this()](error_code) {});
    } else {
      error_code error;
      stream_.socket().shutdown(tcp::socket::shutdown_send, error);
      if (!error) drain();
    }
  }

  // To close over what was not read, a body, would reset the connection before the answer is read.
  void drain() {
    stream_.async_read_some(asio::buffer(rest_),
                            [self = this->shared_from_this()](error_code error, std::size_t read) {
                              self->drained_ += read;
                              if (!error && self->drained_ < kMaxDrainedBytes) self->drain();
                            });
  }

  const std::shared_ptr<TlsContext> tls_;
  HttpServer::Pages pages_;
  std::function<void()> on_end_;
  Stream stream_;
  beast::flat_buffer buffer_{kMaxHeaderBytes};
  http::request_parser<http::empty_body> parser_;
  Reply reply_;
  std::array<char, kDrainBytes> rest_{};
  std::size_t drained_ = 0;
};

expected<Fd> listen_on(const tcp::endpoint& endpoint, const std::string& name) {
  std::string what = fmt::format("{}: listen on {} port {}", name, endpoint.address().to_string(),
                                 endpoint.port());
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

class TcpServer final : public HttpServer {
 public:
  TcpServer(Loop& loop, Options options, Pages pages)
      : options_(std::move(options)),
        pages_(std::move(pages)),
        acceptor_(loop.io()),
        pause_(loop.io()),
        budget_(options_.new_per_second, options_.new_per_second) {}
  ~TcpServer() override {
    auto open = std::move(connections_);
    for (const auto& weak : open) {
      if (auto connection = weak.lock()) connection->close();
    }
  }

  expected<void> listen() {
    error_code error;
    auto address = asio::ip::make_address(options_.address, error);
    if (error) {
      return fail(Code::kInvalidArgument, options_.name + ": no IP address: " + options_.address);
    }
    tcp::endpoint endpoint(address, options_.port);
    Fd socket = TRY(listen_on(endpoint, options_.name));
    acceptor_.assign(endpoint.protocol(), socket.get(), error);
    if (error) return fail(Code::kInternal, options_.name + ": " + error.message());
    socket.release();
    return {};
  }

  void serve(std::shared_ptr<TlsContext> tls) override {
    tls_ = std::move(tls);
    if (!std::exchange(is_serving_, true)) wait();
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
    welcome(std::move(socket));
    wait();
  }

  void rest() {
    pause_.expires_after(kBackOff);
    pause_.async_wait(later([this] { wait(); }));
  }

  void welcome(Fd accepted) {
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
    if (tls_) {
      begin<TlsStream>(std::move(socket), *tls_);
    } else {
      begin<beast::tcp_stream>(std::move(socket));
    }
  }

  template <class Stream, class... Args>
  void begin(Args&&... stream) {
    auto place = connections_.emplace(connections_.end());
    auto connection = std::make_shared<StreamConnection<Stream>>(
        tls_, pages_, [this, place] { connections_.erase(place); }, std::forward<Args>(stream)...);
    *place = connection;
    connection->start(options_.timeout);
  }

  const Options options_;
  const Pages pages_;
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  TokenBucket budget_;
  bool is_serving_ = false;
  std::shared_ptr<TlsContext> tls_;
  std::list<std::weak_ptr<Connection>> connections_;  // oldest first
  const std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace

expected<std::unique_ptr<HttpServer>> HttpServer::open(Loop& loop, Options options, Pages pages) {
  auto server = std::make_unique<TcpServer>(loop, std::move(options), std::move(pages));
  TRY(server->listen());
  return server;
}

}  // namespace nodepilot
