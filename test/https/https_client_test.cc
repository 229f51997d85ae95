#include "rotation/https/https_client.h"

#include <doctest/doctest.h>

#include "test/https/tls_server.h"
#include "test/pki/test_ca.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;
using test::Change;
using test::noon;
using test::Recipe;
using test::TestCa;
using test::TlsServer;

const std::string kEndpoint = "spiffe://b.org/endpoint";
const std::string kHello =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::shared_ptr<const TrustBundle> bundle_of(const TestCa& ca, const char* name = "b.org") {
  auto td = TrustDomain::parse(name).value();
  return std::make_shared<const TrustBundle>(TrustBundle::create(td, {ca.certificate}).value());
}

Change named(int type, const std::string& name) {
  return [type, name](Recipe& recipe) { recipe.sans = {{type, name}}; };
}

struct Rig {
  TestCa ca = TestCa::root();
  PrivateKey key = PrivateKey::generate().value();

  // A server whose certificate `change` has made from that of kEndpoint.
  std::unique_ptr<TlsServer> serve(const Change& change, const std::string& answer = kHello) const {
    auto say = [answer](const std::string&) { return answer; };
    return std::make_unique<TlsServer>(std::vector{ca.leaf(key, kEndpoint, change)}, key, say);
  }
  HttpsRequest request(const std::string& url) const {
    return {.url = Url::parse(url).value(),
            .server = SpiffeServer{SpiffeId::parse(kEndpoint).value(), bundle_of(ca)},
            .now = noon()};
  }
  HttpsRequest web_request(const std::string& url) const {
    HttpsRequest web = request(url);
    web.server = WebServer{{ca.certificate}};
    return web;
  }
  std::string refusal(const Change& change) const {
    auto server = serve(change);
    auto reply = https_send(request(server->url("127.0.0.1")));
    return reply ? "accepted" : reply.error().message;
  }
};

TEST_CASE("an answer comes with its status, type and body") {
  Rig rig;
  std::string head;
  TlsServer server({rig.ca.leaf(rig.key, kEndpoint)}, rig.key, [&](const std::string& request) {
    head = request;
    return kHello;
  });

  auto reply = https_send(rig.request(server.url("127.0.0.1", "/a?b")));

  REQUIRE_MESSAGE(reply, reply.error().message);
  CHECK(reply->status == 200);
  CHECK(reply->content_type == "text/plain");
  CHECK(reply->body == "hello");
  CHECK(head.starts_with("GET /a?b HTTP/1.1\r\nHost: 127.0.0.1:"));
  CHECK(has(head, "Connection: close\r\n"));
}

TEST_CASE("a redirect is told, not followed") {
  Rig rig;
  auto server = rig.serve({}, "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n");

  auto reply = https_send(rig.request(server->url("127.0.0.1")));

  REQUIRE(reply);
  CHECK(reply->status == 302);
  CHECK(reply->location == "/x");
}

TEST_CASE("a SPIFFE server is known by its ID alone, whatever its host is called") {
  Rig rig;

  CHECK(rig.refusal({}) == "accepted");
  CHECK(has(rig.refusal([](Recipe& r) {
    r.sans = {{GEN_URI, "spiffe://b.org/other"}};
  }),
            "expected was spiffe://b.org/endpoint"));
  CHECK(has(rig.refusal([](Recipe& r) { r.uri("https://b.org/"); }), "2 URI SANs"));
  CHECK(has(rig.refusal([](Recipe& r) { r.sans = {{GEN_URI, "spiffe://b.org"}}; }), "no path"));
  CHECK(has(rig.refusal([](Recipe& r) { r.basic_constraints = "CA:TRUE"; }), "CA certificate"));
  CHECK(
      has(rig.refusal([](Recipe& r) { r.key_usage = "digitalSignature,keyCertSign"; }), "keyCert"));
  CHECK(has(rig.refusal([](Recipe& r) { r.extended_key_usage = "clientAuth"; }), "TLS server"));
  CHECK(has(rig.refusal([](Recipe& r) { r.validity.not_after = noon() - 1min; }), "expired"));
}

TEST_CASE("a SPIFFE server is held against the bundle of its own trust domain") {
  Rig rig;
  TestCa stranger = TestCa::root("stranger");
  auto server = rig.serve({});
  HttpsRequest request = rig.request(server->url("127.0.0.1"));

  request.server = SpiffeServer{SpiffeId::parse(kEndpoint).value(), bundle_of(stranger)};
  auto unknown_root = https_send(request);
  request.server = SpiffeServer{SpiffeId::parse(kEndpoint).value(), bundle_of(rig.ca, "c.org")};
  auto other_domain = https_send(request);

  REQUIRE_FALSE(unknown_root);
  CHECK(unknown_root.error().code == Code::kUnauthenticated);
  CHECK(has(unknown_root.error().message, "no valid path"));
  REQUIRE_FALSE(other_domain);
  CHECK(has(other_domain.error().message, "another trust domain"));
}

TEST_CASE("a SPIFFE server may send an intermediate") {
  Rig rig;
  TestCa middle = rig.ca.intermediate("middle");
  TlsServer server({middle.leaf(rig.key, kEndpoint), middle.certificate}, rig.key,
                   [](const std::string&) { return kHello; });

  auto reply = https_send(rig.request(server.url("127.0.0.1")));

  CHECK_MESSAGE(reply.has_value(), reply.error().message);
}

TEST_CASE("a web server is known by its host's name or address") {
  Rig rig;
  auto by_name = rig.serve(named(GEN_DNS, "localhost"));
  auto by_address = rig.serve(named(GEN_IPADD, std::string("\x7f\0\0\1", 4)));

  CHECK(https_send(rig.web_request(by_name->url("localhost"))).has_value());
  CHECK(https_send(rig.web_request(by_address->url("127.0.0.1"))).has_value());
  auto other_name = https_send(rig.web_request(by_name->url("127.0.0.1")));
  REQUIRE_FALSE(other_name);
  CHECK(other_name.error().code == Code::kUnauthenticated);
  CHECK(has(other_name.error().message, "IP address mismatch"));
  auto other_address = https_send(rig.web_request(by_address->url("localhost")));
  REQUIRE_FALSE(other_address);
  CHECK(has(other_address.error().message, "hostname mismatch"));
}

TEST_CASE("a web server may be known by another name than its URL's") {
  Rig rig;
  auto server = rig.serve(named(GEN_DNS, "node-1"));
  auto by_address = rig.serve(named(GEN_IPADD, std::string("\x0a\0\0\1", 4)));
  auto refusal = [&](const TlsServer& asked, const char* name) {
    HttpsRequest request = rig.request(asked.url("127.0.0.1"));
    request.server = WebServer{{rig.ca.certificate}, name};
    auto reply = https_send(request);
    return reply ? "accepted" : reply.error().message;
  };

  CHECK(refusal(*server, "node-1") == "accepted");
  CHECK(has(refusal(*server, "node-2"), "hostname mismatch"));
  CHECK(refusal(*by_address, "10.0.0.1") == "accepted");
  CHECK(has(refusal(*by_address, "10.0.0.2"), "IP address mismatch"));
}

TEST_CASE("any server will do only where that is asked for") {
  Rig rig;
  auto server = rig.serve([](Recipe& r) { r.validity.not_after = noon() - 1min; });
  HttpsRequest request = rig.request(server->url("127.0.0.1"));

  CHECK_FALSE(https_send(request));
  request.server = AnyServer{};
  auto reply = https_send(request);

  REQUIRE_MESSAGE(reply, reply.error().message);
  CHECK(reply->body == "hello");
}

TEST_CASE("a web server needs a CA that is trusted here") {
  Rig rig;
  auto server = rig.serve(named(GEN_DNS, "localhost"));
  HttpsRequest request = rig.web_request(server->url("localhost"));

  request.server = WebServer{{TestCa::root("stranger").certificate}};
  auto stranger = https_send(request);
  request.server = WebServer{};
  auto of_the_system = https_send(request);
  request.server = WebServer{{rig.ca.certificate}};
  request.now = noon() + 2h;
  auto late = https_send(request);

  REQUIRE_FALSE(stranger);
  CHECK(stranger.error().code == Code::kUnauthenticated);
  CHECK_FALSE(of_the_system);
  REQUIRE_FALSE(late);
  CHECK(has(late.error().message, "expired"));
}

TEST_CASE("an answer is bounded") {
  Rig rig;
  auto by_length =
      rig.serve({}, "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n" + std::string(101, 'x'));
  auto by_end = rig.serve({}, "HTTP/1.1 200 OK\r\n\r\n" + std::string(101, 'x'));
  auto by_head = rig.serve({}, "HTTP/1.1 200 OK\r\nX: " + std::string(17000, 'x') + "\r\n\r\n");
  auto refusal = [&](const TlsServer& server, std::size_t limit) {
    HttpsRequest request = rig.request(server.url("127.0.0.1"));
    request.max_body_bytes = limit;
    auto reply = https_send(request);
    return reply ? "accepted" : reply.error().message;
  };

  CHECK(has(refusal(*by_length, 100), "larger than 100 bytes"));
  CHECK(refusal(*by_length, 101) == "accepted");
  CHECK(has(refusal(*by_end, 100), "larger than 100 bytes"));
  CHECK(refusal(*by_end, 101) == "accepted");
  CHECK(has(refusal(*by_head, 100), "header limit"));
}

// The whole body of a stream, or the error that ended it.
expected<std::string> read_all(HttpsStream& stream) {
  std::string body;
  while (true) {
    auto piece = TRY(stream.read());
    if (piece.empty()) return body;
    body += piece;
  }
}

TEST_CASE("a body is read piece by piece, whichever way it is sent") {
  Rig rig;
  std::string body(300'000, 'x');
  body.front() = 'a';
  body.back() = 'z';
  std::string head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
  std::string half = body.substr(0, 150'000);
  std::string chunked =
      "249f0\r\n" + half + "\r\n249f0\r\n" + body.substr(150'000) + "\r\n0\r\n\r\n";
  for (const std::string& answer :
       {head + "Content-Length: 300000\r\n\r\n" + body, head + "\r\n" + body,
        head + "Transfer-Encoding: chunked\r\n\r\n" + chunked}) {
    auto server = rig.serve({}, answer);

    auto stream = https_open(rig.request(server->url("127.0.0.1")));

    REQUIRE_MESSAGE(stream, stream.error().message);
    CHECK((*stream)->head().status == 200);
    CHECK((*stream)->head().content_type == "application/json");
    CHECK((*stream)->head().body.empty());
    auto first = (*stream)->read();
    REQUIRE(first);
    CHECK(first->size() < body.size());
    std::string start(*first);
    auto rest = read_all(**stream);
    REQUIRE_MESSAGE(rest, rest.error().message);
    CHECK(start + *rest == body);
    CHECK((*stream)->read().value().empty());
  }
}

TEST_CASE("a body that is read piece by piece is bounded, and its end is told from a break") {
  Rig rig;
  auto refusal = [&](const std::string& answer) {
    auto server = rig.serve({}, answer);
    HttpsRequest request = rig.request(server->url("127.0.0.1"));
    request.max_body_bytes = 200'000;
    auto stream = https_open(std::move(request));
    auto body = stream ? read_all(**stream) : tl::unexpected<Error>(stream.error());
    return body ? "accepted" : body.error().message;
  };

  CHECK(has(refusal("HTTP/1.1 200 OK\r\n\r\n" + std::string(200'001, 'x')), "larger than 200000"));
  CHECK(refusal("HTTP/1.1 200 OK\r\n\r\n" + std::string(200'000, 'x')) == "accepted");
  CHECK(has(refusal("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"), "partial message"));
}

TEST_CASE("what is no HTTP, or breaks off, is an error") {
  Rig rig;
  auto refusal = [&](const std::string& answer) {
    auto server = rig.serve({}, answer);
    auto reply = https_send(rig.request(server->url("127.0.0.1")));
    return reply ? "accepted" : reply.error().message;
  };

  CHECK(has(refusal(""), "end of stream"));
  CHECK(has(refusal("SSH-2.0-x\r\n\r\n"), "no HTTP"));
  CHECK(has(refusal("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"), "partial message"));
  CHECK(has(refusal("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n"), "bad chunk"));
}

SecretBytes secret(const std::string& text) { return {text.begin(), text.end()}; }

TEST_CASE("a POST carries its headers and its body") {
  Rig rig;
  std::string seen;
  TlsServer server({rig.ca.leaf(rig.key, kEndpoint)}, rig.key, [&](const std::string& request) {
    seen = request;
    return kHello;
  });
  HttpsRequest request = rig.request(server.url("127.0.0.1", "/v1/x"));
  request.method = HttpsMethod::kPost;
  request.headers.push_back({"X-Token", secret("s.abc")});
  request.body = secret("{\"a\":1}");

  auto reply = https_send(request);

  REQUIRE_MESSAGE(reply, reply.error().message);
  CHECK(seen.starts_with("POST /v1/x HTTP/1.1\r\n"));
  CHECK(has(seen, "\r\nX-Token: s.abc\r\n"));
  CHECK(has(seen, "\r\nContent-Length: 7\r\n"));
  CHECK(seen.ends_with("\r\n\r\n{\"a\":1}"));
}

TEST_CASE("a header cannot forge the rest of the head, nor does the error repeat it") {
  Rig rig;
  int requests = 0;
  TlsServer server({rig.ca.leaf(rig.key, kEndpoint)}, rig.key, [&](const std::string&) {
    ++requests;
    return kHello;
  });
  for (const char* value : {"a\r\nX: y", "a\nb", "\x7f", "\xc3\xa4"}) {
    HttpsRequest request = rig.request(server.url("127.0.0.1"));
    request.headers.push_back({"X-Token", secret(value)});

    auto reply = https_send(request);

    REQUIRE_FALSE(reply);
    CHECK(reply.error().code == Code::kInvalidArgument);
    CHECK(reply.error().message == "GET " + request.url.str() +
                                       ": the value of the header X-Token may hold printable ASCII "
                                       "only");
  }
  CHECK(requests == 0);
}

TEST_CASE("a server that asks for a certificate is shown ours") {
  Rig rig;
  TestCa clients = TestCa::root("clients");
  PrivateKey key = PrivateKey::generate().value();
  TlsServer server({rig.ca.leaf(rig.key, kEndpoint)}, rig.key,
                   [](const std::string&) { return kHello; }, {clients.certificate});
  HttpsRequest request = rig.request(server.url("127.0.0.1"));

  auto without = https_send(request);
  request.client = ClientIdentity{{clients.leaf(key, "spiffe://b.org/client")}, key};
  auto with = https_send(request);
  request.client->key = PrivateKey::generate().value();
  auto with_another_key = https_send(request);

  CHECK_FALSE(without);
  CHECK_MESSAGE(with.has_value(), with.error().message);
  REQUIRE_FALSE(with_another_key);
  CHECK(has(with_another_key.error().message, "private key is not that of the certificate"));
}

TEST_CASE("a server may say when to come again") {
  Rig rig;
  auto server = rig.serve(
      {}, "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");

  auto reply = https_send(rig.request(server->url("127.0.0.1")));

  REQUIRE(reply);
  CHECK(reply->status == 429);
  CHECK(reply->retry_after == 7s);
}

// Takes connections and never says a word.
struct SilentServer {
  std::string url() const {
    return "https://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port()) + "/";
  }
  boost::asio::io_context io;
  boost::asio::ip::tcp::acceptor acceptor{io, {boost::asio::ip::address_v4::loopback(), 0}};
};

TEST_CASE("a silent server is given up at the deadline") {
  Rig rig;
  SilentServer server;
  HttpsRequest request = rig.request(server.url());
  request.timeout = 100ms;

  auto reply = https_send(request);

  REQUIRE_FALSE(reply);
  CHECK(reply.error().code == Code::kDeadlineExceeded);
  CHECK(has(reply.error().message, "TLS handshake: no answer in time"));
}

TEST_CASE("a request can be stopped") {
  Rig rig;
  SilentServer server;
  std::stop_source source;
  HttpsRequest request = rig.request(server.url());
  request.stop = source.get_token();
  source.request_stop();

  auto reply = https_send(request);

  REQUIRE_FALSE(reply);
  CHECK(reply.error().code == Code::kCancelled);
}

TEST_CASE("an error names the request and the step") {
  Rig rig;
  auto closed = std::make_unique<SilentServer>();
  std::string url = closed->url();
  closed.reset();

  auto refused = https_send(rig.request(url));
  auto unknown = https_send(rig.request("https://no-such-host.invalid/"));

  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::kUnavailable);
  CHECK(refused.error().message == "GET " + url + ": connect: Connection refused");
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().code == Code::kUnavailable);
  CHECK(has(unknown.error().message, "resolve no-such-host.invalid: "));
}

}  // namespace
}  // namespace nodepilot
