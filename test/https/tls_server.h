// A TLS server on the loopback that says what it is told to. One connection at a time.
#pragma once

#include <utility>
//
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
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
  // From the head of a request to the whole answer.
  using Answer = std::function<std::string(const std::string& head)>;

  TlsServer(const std::vector<Certificate>& chain, const PrivateKey& key, Answer answer)
      : context_(make_server_tls(chain, key).value()), answer_(std::move(answer)) {
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
    std::string head;
    boost::asio::read_until(stream, boost::asio::dynamic_buffer(head), "\r\n\r\n", error);
    if (error) return;
    boost::asio::write(stream, boost::asio::buffer(answer_(head)), error);
    stream.shutdown(error);
  }

  boost::asio::io_context io_{1};
  TlsContext context_;
  const Answer answer_;
  tcp::acceptor acceptor_{io_, {boost::asio::ip::address_v4::loopback(), 0}};
  std::thread thread_;
};

}  // namespace nodepilot::test
