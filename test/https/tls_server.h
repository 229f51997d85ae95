// A TLS server on the loopback that says what it is told to. One connection at a time.
#pragma once

#include <utility>
//
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "rotation/https/tls.h"

namespace nodepilot::test {

class TlsServer {
 public:
  // From a request, head and body, to the whole answer.
  using Answer = std::function<std::string(const std::string& request)>;

  // With `client_roots`, only clients that show a certificate of theirs get through.
  TlsServer(const std::vector<Certificate>& chain, const PrivateKey& key, Answer answer,
            const std::vector<Certificate>& client_roots = {})
      : context_(make_server_tls(chain, key).value()), answer_(std::move(answer)) {
    ask_clients(client_roots);
    accept();
    thread_ = std::thread([this] { io_.run(); });
  }
  TlsServer(const TlsServer&) = delete;
  TlsServer& operator=(const TlsServer&) = delete;
  ~TlsServer() {
    io_.stop();
    thread_.join();
  }

  std::string url(const std::string& host, const std::string& path = "/") const {
    return "https://" + host + ":" + std::to_string(acceptor_.local_endpoint().port()) + path;
  }

 private:
  using tcp = boost::asio::ip::tcp;

  void ask_clients(const std::vector<Certificate>& roots) {
    if (roots.empty()) return;
    SSL_CTX* raw = context_.native_handle();
    SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    X509_STORE* store = SSL_CTX_get_cert_store(raw);
    for (const Certificate& root : roots) X509_STORE_add_cert(store, root.x509());
    // The clock of the tests stands still.
    X509_STORE_set_flags(store, X509_V_FLAG_NO_CHECK_TIME);
  }

  void accept() {
    acceptor_.async_accept([this](boost::system::error_code error, tcp::socket socket) {
      if (error) return;
      serve(std::move(socket));
      accept();
    });
  }

  void serve(tcp::socket socket) {
    boost::asio::ssl::stream<tcp::socket> stream(std::move(socket), context_);
    boost::system::error_code error;
    stream.handshake(boost::asio::ssl::stream_base::server, error);
    if (error) return;
    std::string request;
    auto buffer = boost::asio::dynamic_buffer(request);
    std::size_t head = boost::asio::read_until(stream, buffer, "\r\n\r\n", error);
    if (error) return;
    std::size_t whole = head + body_length(request.substr(0, head));
    std::size_t missing = whole > request.size() ? whole - request.size() : 0;
    boost::asio::read(stream, buffer, boost::asio::transfer_exactly(missing), error);
    if (error) return;
    boost::asio::write(stream, boost::asio::buffer(answer_(request)), error);
    stream.shutdown(error);
  }

  static std::size_t body_length(const std::string& head) {
    const std::string field = "Content-Length: ";
    auto at = head.find(field);
    return at == std::string::npos ? 0 : std::stoul(head.substr(at + field.size()));
  }

  boost::asio::io_context io_{1};
  TlsContext context_;
  const Answer answer_;
  tcp::acceptor acceptor_{io_, {boost::asio::ip::address_v4::loopback(), 0}};
  std::thread thread_;
};

}  // namespace nodepilot::test
