#include "rotation/ca/istiod/istiod_client.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/socket.h>

#include <atomic>
#include <future>
#include <thread>

#include "agent/base/fd.h"
#include "proto/google/retry_info.pb.h"
#include "proto/google/status.pb.h"
#include "test/ca/istiod_kit.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;
using test::IstioRequest;
using test::IstioResponse;
using test::Recipe;
using test::refuses_with;
using test::ScriptedIstiod;
using test::secret;
using test::TestCa;

const SecretBytes kToken = secret("eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJpc3Rpby1jYSJ9.c2lnbmF0dXJlcw");

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

ListedRootsPtr listed(const Certificate& root) {
  return std::make_shared<const ListedRoots>(ListedRoots{{root}, root.pem()});
}

ScriptedIstiod::Answer says(const std::string& text) {
  return [text](const IstioRequest&, grpc::ServerContext&, IstioResponse& response) {
    response.add_cert_chain(text);
    return grpc::Status::OK;
  };
}

// Answers once `context` has been given up.
grpc::Status hang(const IstioRequest&, grpc::ServerContext& context, IstioResponse&) {
  while (!context.IsCancelled()) std::this_thread::yield();
  return grpc::Status::CANCELLED;
}

// A port of the loopback where connections wait, or are taken and read from.
class TcpPort {
 public:
  TcpPort() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    (void)::bind(socket_.get(), generic, length);
    ::getsockname(socket_.get(), generic, &length);
    port_ = ntohs(address.sin_port);
  }
  void listen() const { ::listen(socket_.get(), 8); }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  // The first bytes of the first connection, which is then closed.
  std::string accept_and_read() const {
    Fd peer(::accept(socket_.get(), nullptr, nullptr));
    std::string bytes(4096, '\0');
    ssize_t length = ::read(peer.get(), bytes.data(), bytes.size());
    bytes.resize(static_cast<std::size_t>(std::max<ssize_t>(length, 0)));
    return bytes;
  }

 private:
  Fd socket_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::uint16_t port_ = 0;
};

struct Rig {
  std::unique_ptr<ScriptedIstiod> serve(ScriptedIstiod::Answer answer) const {
    return std::make_unique<ScriptedIstiod>(test::server_certificate(ca, key), key,
                                            std::move(answer));
  }
  IstiodOptions options(const std::vector<std::string>& addresses, Duration timeout = 5s) const {
    return {.addresses = addresses, .server_name = test::kServerName, .timeout = timeout};
  }
  expected<IstiodClient::Response> ask(IstiodClient& client) const {
    return client.create_certificate(request, kToken, trust);
  }
  Error failure(const IstiodOptions& asked) const {
    IstiodClient client(asked);
    auto answer = ask(client);
    REQUIRE_FALSE(answer);
    CHECK_FALSE(has(answer.error().message, "eyJ"));
    return answer.error();
  }

  TestCa ca = test::today_root();
  PrivateKey key = PrivateKey::generate().value();
  IstiodClient::Request request;
  IstiodClient::Trust trust{listed(ca.certificate), nullptr};
};

TEST_CASE("a call carries the token, the cluster and the configured headers") {
  Rig rig;
  auto server = rig.serve(says("pem"));
  IstiodOptions options = rig.options({server->address()});
  options.cluster_id = "east";
  options.headers = {{"x-team", "a b"}, {"x-zone", "1"}};
  rig.request.set_csr("csr");
  IstiodClient client(options);

  auto answer = rig.ask(client);

  REQUIRE_MESSAGE(answer, answer.error().message);
  CHECK(answer->cert_chain(0) == "pem");
  auto calls = server->calls();
  REQUIRE(calls.size() == 1);
  CHECK(calls[0].request.csr() == "csr");
  CHECK(calls[0].metadata.at("authorization") == "Bearer " + test::text_of(kToken));
  CHECK(calls[0].metadata.at("clusterid") == "east");
  CHECK(calls[0].metadata.at("x-team") == "a b");
  CHECK(calls[0].metadata.at("x-zone") == "1");
}

TEST_CASE("calls share a connection until one fails or the trust changes") {
  Rig rig;
  std::atomic<bool> refuse = false;
  auto server =
      rig.serve([&](const IstioRequest&, grpc::ServerContext&, IstioResponse&) -> grpc::Status {
        return refuse ? grpc::Status(grpc::StatusCode::INTERNAL, "not ready") : grpc::Status::OK;
      });
  IstiodClient client(rig.options({server->address()}));
  auto peer = [&] {
    (void)rig.ask(client);
    return server->calls().back().peer;
  };

  std::string first = peer();
  CHECK(peer() == first);
  refuse = true;
  CHECK(peer() == first);
  refuse = false;
  std::string second = peer();
  CHECK(second != first);
  CHECK(peer() == second);
  rig.trust.roots = listed(rig.ca.certificate);
  CHECK(peer() != second);
}

TEST_CASE("a server that does not prove its name or comes from another CA gets nothing") {
  Rig rig;
  auto misnamed = std::make_unique<ScriptedIstiod>(
      test::server_certificate(rig.ca, rig.key, "istiod.other.svc"), rig.key, says("pem"));
  TestCa other = test::today_root();
  auto foreign = std::make_unique<ScriptedIstiod>(test::server_certificate(other, rig.key), rig.key,
                                                  says("pem"));
  auto plain = std::make_unique<ScriptedIstiod>(says("pem"));

  for (const auto* server : {&misnamed, &foreign, &plain}) {
    Error error = rig.failure(rig.options({(*server)->address()}));
    CHECK(error.code == Code::kUnavailable);
    CHECK(has(error.message, (*server)->address() + ": UNAVAILABLE: \""));
    CHECK((*server)->calls().empty());
  }
}

TEST_CASE("without a server name the address itself must be proven") {
  Rig rig;
  auto server = rig.serve(says("pem"));
  IstiodOptions options = rig.options({server->address()});
  options.server_name = "";
  CHECK(rig.failure(options).code == Code::kUnavailable);
  CHECK(server->calls().empty());

  Certificate by_address = rig.ca.leaf(rig.key, "spiffe://example.org/istiod", [](Recipe& recipe) {
    recipe.sans.push_back({GEN_IPADD, std::string("\x7f\0\0\1", 4)});
    recipe.validity = test::today();
  });
  ScriptedIstiod proven(by_address, rig.key, says("pem"));
  options.addresses = {proven.address()};
  IstiodClient client(options);
  CHECK(rig.ask(client));
}

TEST_CASE("a server certificate that has ended is refused") {
  Rig rig;
  Certificate ended = rig.ca.leaf(rig.key, "spiffe://example.org/istiod", [](Recipe& recipe) {
    recipe.sans.push_back({GEN_DNS, test::kServerName});
    recipe.validity = {test::today().not_before, test::today().not_before + 1min};
  });
  ScriptedIstiod server(ended, rig.key, says("pem"));

  CHECK(rig.failure(rig.options({server.address()})).code == Code::kUnavailable);
  CHECK(server.calls().empty());
}

// Extension -> its bytes, of a TLS ClientHello in one record.
std::map<int, std::string> extensions_of(const std::string& hello) {
  auto number = [&](std::size_t at, std::size_t size) {
    std::size_t value = 0;
    for (std::size_t i = at; i < at + size; ++i) {
      value = value << 8 | static_cast<unsigned char>(hello.at(i));
    }
    return value;
  };
  std::size_t at = 5 + 4 + 2 + 32;
  at += 1 + number(at, 1);
  at += 2 + number(at, 2);
  at += 1 + number(at, 1);
  std::size_t end = at + 2 + number(at, 2);
  std::map<int, std::string> found;
  for (at += 2; at < end;) {
    std::size_t size = number(at + 2, 2);
    found[static_cast<int>(number(at, 2))] = hello.substr(at + 4, size);
    at += 4 + size;
  }
  return found;
}

TEST_CASE("TLS is 1.2 at least, and no earlier session is offered") {
  Rig rig;
  auto server = rig.serve(says("pem"));
  TcpPort port;
  port.listen();
  IstiodClient client(rig.options({server->address(), port.address()}, 2s));
  REQUIRE(rig.ask(client));  // there is a session that could be offered
  std::string hello;
  server.reset();
  std::thread reader([&] { hello = port.accept_and_read(); });

  auto answer = rig.ask(client);
  reader.join();

  CHECK_FALSE(answer);
  auto extensions = extensions_of(hello);
  CHECK(extensions.at(43) == std::string("\x04\x03\x04\x03\x03", 5));  // supported_versions
  CHECK(extensions[35].empty());                                       // session_ticket
  CHECK(extensions.count(41) == 0);                                    // pre_shared_key
  CHECK(has(extensions.at(0), test::kServerName));
  CHECK_FALSE(has(hello, "eyJ"));
}

TEST_CASE("a client certificate is shown if there is one") {
  Rig rig;
  PrivateKey own = PrivateKey::generate().value();
  Certificate shown = rig.ca.leaf(own, "spiffe://example.org/ns/a/sa/self",
                                  [](Recipe& recipe) { recipe.validity = test::today(); });
  ScriptedIstiod server(test::server_certificate(rig.ca, rig.key), rig.key, says("pem"),
                        &rig.ca.certificate);
  IstiodClient client(rig.options({server.address()}));
  CHECK_FALSE(rig.ask(client));

  rig.trust.certificate = std::make_shared<const ShownCertificate>(
      ShownCertificate{shown.pem(), own.pkcs8_pem(), shown.validity().not_after});

  CHECK(rig.ask(client));
  CHECK(server.calls().size() == 1);
}

TEST_CASE("the next address is tried if one cannot be reached, and the one that answers is kept") {
  Rig rig;
  TcpPort closed;
  auto server = rig.serve(says("pem"));
  auto other = rig.serve(says("other"));
  IstiodClient client(rig.options({closed.address(), server->address(), other->address()}));

  CHECK(rig.ask(client).value().cert_chain(0) == "pem");
  server.reset();
  CHECK(rig.ask(client).value().cert_chain(0) == "other");
  auto back = rig.serve(says("back"));
  CHECK(rig.ask(client).value().cert_chain(0) == "other");
}

TEST_CASE("an address that accepts and is silent takes but its share of the time") {
  Rig rig;
  TcpPort silent;
  silent.listen();
  auto server = rig.serve(says("pem"));
  IstiodClient client(rig.options({silent.address(), server->address()}, 600ms));

  CHECK(rig.ask(client).value().cert_chain(0) == "pem");
}

TEST_CASE("all addresses have one deadline, and the error tells of each") {
  Rig rig;
  TcpPort silent;
  silent.listen();
  auto hanging = rig.serve(hang);
  auto begun = std::chrono::steady_clock::now();

  Error error = rig.failure(rig.options({silent.address(), hanging->address()}, 400ms));

  CHECK(std::chrono::steady_clock::now() - begun < 2s);
  CHECK(error.code == Code::kDeadlineExceeded);
  CHECK(has(error.message, silent.address() + ": DEADLINE_EXCEEDED: no answer within "));
  CHECK(has(error.message, "; then " + hanging->address() + ": DEADLINE_EXCEEDED: no answer"));
}

TEST_CASE("what a server itself refuses is not asked of the others") {
  Rig rig;
  auto refusing = rig.serve(refuses_with({grpc::StatusCode::INVALID_ARGUMENT, "ttl too long"}));
  auto other = rig.serve(says("pem"));

  Error error = rig.failure(rig.options({refusing->address(), other->address()}));

  CHECK(error.code == Code::kInvalidArgument);
  CHECK(error.message == refusing->address() + ": INVALID_ARGUMENT: \"ttl too long\"");
  CHECK(other->calls().empty());
}

TEST_CASE("a server's text is bounded, escaped, and without the token or parts of it") {
  Rig rig;
  auto text_for = [&](const std::string& text) {
    auto server = rig.serve(refuses_with({grpc::StatusCode::UNAUTHENTICATED, text}));
    std::string message = rig.failure(rig.options({server->address()})).message;
    return message.substr(message.find('"'));
  };
  std::string token = test::text_of(kToken);

  CHECK(text_for("a\nlevel=error \"b\"") == "\"a\\nlevel=error \\\"b\\\"\"");
  CHECK(text_for(std::string(1000, 'x')) == "\"" + std::string(300, 'x') + "\"...");
  CHECK(text_for("bad: " + token + "!") == "\"bad: ***!\"");
  CHECK(text_for("payload " + token.substr(21, 24)) == "\"payload ***\"");
  CHECK(text_for(token.substr(0, 30) + "[cut]") == "\"***[cut]\"");
}

TEST_CASE("a code that gRPC does not know is unknown") {
  Rig rig;
  auto server = rig.serve(refuses_with({static_cast<grpc::StatusCode>(20), "x"}));

  CHECK(rig.failure(rig.options({server->address()})).code == Code::kUnknown);
}

grpc::Status with_delay(std::int64_t seconds, std::int32_t nanos) {
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(seconds);
  info.mutable_retry_delay()->set_nanos(nanos);
  google::rpc::Status status;
  status.set_code(8);
  status.add_details()->set_type_url("type.googleapis.com/google.rpc.Other");
  auto* detail = status.add_details();
  detail->set_type_url("type.googleapis.com/google.rpc.RetryInfo");
  detail->set_value(info.SerializeAsString());
  return {grpc::StatusCode::RESOURCE_EXHAUSTED, "busy", status.SerializeAsString()};
}

TEST_CASE("a hint when to come again is taken from the status' details") {
  Rig rig;
  auto hint = [&](const grpc::Status& status) {
    auto server = rig.serve(refuses_with(status));
    return rig.failure(rig.options({server->address()})).retry_after;
  };

  CHECK(hint(with_delay(7, 250'000'000)) == 7250ms);
  CHECK(hint(with_delay(INT64_MAX, 0)) == 24h);
  CHECK_FALSE(hint(with_delay(-1, 0)));
  CHECK_FALSE(hint({grpc::StatusCode::RESOURCE_EXHAUSTED, "busy", "garbage"}));
  CHECK_FALSE(hint({grpc::StatusCode::RESOURCE_EXHAUSTED, "busy"}));
}

TEST_CASE("a hint when to come again is taken from the trailers") {
  Rig rig;
  auto hint = [&](const std::string& trailer) {
    auto server = rig.serve([&](const IstioRequest&, grpc::ServerContext& context, IstioResponse&) {
      context.AddTrailingMetadata("grpc-retry-pushback-ms", trailer);
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "busy");
    });
    return rig.failure(rig.options({server->address()})).retry_after;
  };

  CHECK(hint("1500") == 1500ms);
  CHECK_FALSE(hint("-1"));
  CHECK_FALSE(hint("soon"));
}

// `bytes` of answer, and what the client makes of it.
Error failure_over(const Rig& rig, std::size_t bytes, bool packed) {
  auto server =
      rig.serve([&](const IstioRequest&, grpc::ServerContext& context, IstioResponse& response) {
        if (packed) context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
        response.add_cert_chain(std::string(bytes, 'a'));
        return grpc::Status::OK;
      });
  return rig.failure(rig.options({server->address()}));
}

TEST_CASE("an answer of more than a megabyte is refused, packed or not") {
  Rig rig;

  CHECK(failure_over(rig, 1'100'000, false).code == Code::kResourceExhausted);
  CHECK(failure_over(rig, 10'000'000, false).code == Code::kResourceExhausted);
  CHECK(failure_over(rig, 10'000'000, true).code == Code::kUnimplemented);
}

TEST_CASE("a huge answer is cut off long before it has come") {
  Rig rig;

  Error error = failure_over(rig, 60'000'000, false);

  CHECK(error.code == Code::kResourceExhausted);
  CHECK_MESSAGE(has(error.message, "Buffers full"), error.message);
}

TEST_CASE("stop ends the call under way and all later ones") {
  Rig rig;
  std::promise<void> arrived;
  auto server = rig.serve(
      [&](const IstioRequest& request, grpc::ServerContext& context, IstioResponse& response) {
        arrived.set_value();
        return hang(request, context, response);
      });
  IstiodClient client(rig.options({server->address()}, 60s));
  auto answer = std::async(std::launch::async, [&] { return rig.ask(client); });
  arrived.get_future().wait();

  client.stop();

  auto ended = answer.get();
  REQUIRE_FALSE(ended);
  CHECK(ended.error().code == Code::kCancelled);
  auto later = rig.ask(client);
  REQUIRE_FALSE(later);
  CHECK(later.error().code == Code::kCancelled);
  CHECK(server->calls().size() == 1);
}

}  // namespace
}  // namespace nodepilot
