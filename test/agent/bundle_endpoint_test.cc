#include "agent/bundle_endpoint.h"

#include <doctest/doctest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <future>
#include <thread>

#include "test/pki/test_ca.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;
using boost::asio::ip::tcp;

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::shared_ptr<TlsContext> certificate() {
  auto ca = test::TestCa::root();
  PrivateKey key = PrivateKey::generate().value();
  return std::make_shared<TlsContext>(
      make_server_tls({ca.leaf(key, "spiffe://td/endpoint")}, key).value());
}

// An endpoint on a loop that runs on a thread of its own.
struct Rig {
  explicit Rig(HttpServer::Options options = {}, const std::string& path = "/") {
    options.address = "127.0.0.1";
    endpoint = BundleEndpoint::open(loop, options, path).value();
    port = endpoint->port();
    thread = std::thread([this] { loop.run(); });
  }
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;
  ~Rig() {
    on_loop([this] { endpoint.reset(); });
    loop.stop();
    thread.join();
  }

  void on_loop(const std::function<void()>& task) {
    std::promise<void> done;
    loop.post([&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }
  void show() {
    on_loop([this] { endpoint->show(certificate()); });
  }
  void publish(const std::string& document) {
    on_loop([&] { endpoint->publish(document); });
  }

  Loop loop;
  std::unique_ptr<BundleEndpoint> endpoint;
  std::uint16_t port = 0;
  std::thread thread;
};

// A client that trusts everybody.
struct Client {
  explicit Client(std::uint16_t port) {
    stream.next_layer().connect({boost::asio::ip::address_v4::loopback(), port});
  }
  boost::system::error_code handshake() {
    boost::system::error_code error;
    stream.handshake(boost::asio::ssl::stream_base::client, error);
    return error;
  }
  // All that is answered until the end.
  std::string say(const std::string& text) {
    boost::system::error_code error;
    boost::asio::write(stream, boost::asio::buffer(text), error);
    std::string answer;
    boost::asio::read(stream, boost::asio::dynamic_buffer(answer), error);
    return answer;
  }

  boost::asio::io_context io;
  TlsContext context = make_client_tls().value();
  boost::asio::ssl::stream<tcp::socket> stream{io, context};
};

std::string talk(std::uint16_t port, const std::string& text) {
  Client client(port);
  if (auto error = client.handshake()) return error.message();
  return client.say(text);
}

std::string get(const std::string& path) { return "GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n"; }

TEST_CASE("anybody may GET the document, on a connection of its own") {
  Rig rig;
  rig.show();
  rig.publish(R"({"keys":[]})");

  std::string answer = talk(rig.port, get("/"));

  CHECK(answer.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(has(answer, "Content-Type: application/json\r\n"));
  CHECK(has(answer, "Connection: close\r\n"));
  CHECK(answer.ends_with("\r\n\r\n{\"keys\":[]}"));
}

TEST_CASE("the newest document is served") {
  Rig rig;
  rig.show();
  rig.publish("{}");
  rig.publish(R"({"keys":[]})");

  CHECK(talk(rig.port, get("/")).ends_with("\r\n\r\n{\"keys\":[]}"));
}

TEST_CASE("HEAD tells the length alone") {
  Rig rig;
  rig.show();
  rig.publish(R"({"keys":[]})");

  std::string answer = talk(rig.port, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");

  CHECK(answer.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(has(answer, "Content-Length: 11\r\n"));
  CHECK(answer.ends_with("\r\n\r\n"));
}

TEST_CASE("other paths, methods and texts are refused") {
  Rig rig({}, "/bundle");
  rig.show();
  rig.publish("{}");

  CHECK(talk(rig.port, get("/bundle")).starts_with("HTTP/1.1 200 "));
  CHECK(talk(rig.port, get("/")).starts_with("HTTP/1.1 404 "));
  CHECK(talk(rig.port, get("/bundle/")).starts_with("HTTP/1.1 404 "));
  std::string post = talk(rig.port, "POST /bundle HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}");
  CHECK(post.starts_with("HTTP/1.1 405 "));
  CHECK(has(post, "Allow: GET, HEAD\r\n"));
  CHECK(talk(rig.port, "junk\r\n\r\n").starts_with("HTTP/1.1 400 "));
  CHECK(talk(rig.port, "GET /bundle HTTP/1.1\r\nX: " + std::string(9000, 'x') + "\r\n\r\n")
            .starts_with("HTTP/1.1 400 "));
}

TEST_CASE("without a document there is none yet") {
  Rig rig;
  rig.show();

  std::string answer = talk(rig.port, get("/"));

  CHECK(answer.starts_with("HTTP/1.1 503 "));
  CHECK(has(answer, "Retry-After: 5\r\n"));
}

TEST_CASE("who comes before the certificate waits for it") {
  Rig rig;
  rig.publish("{}");
  Client early(rig.port);

  rig.show();

  REQUIRE_FALSE(early.handshake());
  CHECK(early.say(get("/")).starts_with("HTTP/1.1 200 "));
}

TEST_CASE("a new certificate is shown to new connections") {
  Rig rig;
  auto serial = [&] {
    Client client(rig.port);
    REQUIRE_FALSE(client.handshake());
    X509* shown = SSL_get1_peer_certificate(client.stream.native_handle());
    long number = ASN1_INTEGER_get(X509_get0_serialNumber(shown));
    X509_free(shown);
    return number;
  };
  rig.show();
  long first = serial();

  rig.show();

  CHECK(serial() != first);
}

TEST_CASE("TLS before 1.2 is refused") {
  Rig rig;
  rig.show();
  Client old(rig.port);
  SSL_set_min_proto_version(old.stream.native_handle(), TLS1_VERSION);
  SSL_set_max_proto_version(old.stream.native_handle(), TLS1_1_VERSION);
  SSL_set_cipher_list(old.stream.native_handle(), "ALL:@SECLEVEL=0");

  CHECK(old.handshake());
}

TEST_CASE("a silent connection is closed at its deadline") {
  Rig rig({.timeout = 100ms});
  rig.show();
  Client silent(rig.port);
  Client half(rig.port);
  REQUIRE_FALSE(half.handshake());

  CHECK(half.say("GET / HTTP/1.1\r\n") == "");
  CHECK(silent.handshake());
}

TEST_CASE("a crowd of silent connections keeps nobody out") {
  Rig rig({.max_connections = 2, .timeout = 1min});
  rig.show();
  rig.publish("{}");
  std::vector<std::unique_ptr<Client>> crowd;
  for (int i = 0; i < 5; ++i) crowd.push_back(std::make_unique<Client>(rig.port));

  CHECK(talk(rig.port, get("/")).starts_with("HTTP/1.1 200 "));
  CHECK(crowd.front()->handshake());
}

TEST_CASE("newcomers beyond the rate wait, and are served") {
  Rig rig({.new_per_second = 5});
  rig.show();
  rig.publish("{}");

  for (int i = 0; i < 8; ++i) CHECK(talk(rig.port, get("/")).starts_with("HTTP/1.1 200 "));
}

TEST_CASE("an address that is taken, or none, is an error that names it") {
  Rig rig;
  Loop loop;

  auto taken = BundleEndpoint::open(loop, {.address = "127.0.0.1", .port = rig.port});
  auto junk = BundleEndpoint::open(loop, {.address = "localhost"});

  REQUIRE_FALSE(taken);
  CHECK(has(taken.error().message, "listen on 127.0.0.1 port " + std::to_string(rig.port)));
  CHECK(has(taken.error().message, "Address already in use"));
  REQUIRE_FALSE(junk);
  CHECK(junk.error().message == "bundle endpoint: no IP address: localhost");
}

}  // namespace
}  // namespace nodepilot
