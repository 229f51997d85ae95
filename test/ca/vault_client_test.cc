#include "rotation/ca/vault/vault_client.h"

#include <doctest/doctest.h>

#include "test/ca/vault_kit.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;
using test::FakeVault;
using test::has;
using test::header;
using test::kSign;
using test::refusal;
using test::reply;
using test::TestCa;
using test::VaultRig;

constexpr const char* kDone = R"({"data":{}})";

struct Rig : VaultRig {
  template <class Use>
  auto with(const VaultOptions& options, Use use) {
    VaultClient client(options, [this] { return now; });
    VaultCall call{.path = "pki/sign/web", .body = bytes("{}"), .token = bytes("s.very-secret")};
    return use(client, call);
  }
  expected<nlohmann::json> call(const VaultOptions& options) {
    return with(options, [](VaultClient& client, const VaultCall& call) {
      return client.call(call, std::chrono::steady_clock::now() + 5s);
    });
  }
  Error failure(const VaultOptions& options) {
    auto answer = call(options);
    return answer ? Error{Code::kOk, "accepted"} : answer.error();
  }
  Error failure(const std::string& answer) {
    vault.handlers[kSign] = [answer](const std::string&) { return answer; };
    return failure(options());
  }
  std::string place() const { return vault.url().str() + "/v1/pki/sign/web"; }
  static SecretBytes bytes(const std::string& text) { return {text.begin(), text.end()}; }
};

TEST_CASE("a status becomes a code and a text with what Vault said") {
  Rig rig;

  Error denied = rig.failure(refusal(403, "1 error occurred:\n\t* permission denied\n\n"));
  Error bad = rig.failure(refusal(400, "unknown role: web"));
  Error gone = rig.failure(refusal(404, "no handler for route"));
  Error odd = rig.failure(reply(418, "<html>teapot</html>"));

  CHECK(denied.code == Code::kPermissionDenied);
  CHECK(denied.message ==
        rig.place() + R"(: status 403: "1 error occurred:\n\t* permission denied\n\n")");
  CHECK(bad.code == Code::kInvalidArgument);
  CHECK(bad.message == rig.place() + ": status 400: \"unknown role: web\"");
  CHECK(gone.code == Code::kNotFound);
  CHECK(odd.code == Code::kFailedPrecondition);
  CHECK(odd.message == rig.place() + ": status 418");
}

TEST_CASE("a server that cannot answer now says so and may say when") {
  Rig rig;

  Error limited = rig.failure(refusal(429, "rate limit quota exceeded", "Retry-After: 7\r\n"));
  Error dated = rig.failure(
      refusal(503, "Vault is sealed", "Retry-After: Sun, 01 Mar 2026 12:00:30 GMT\r\n"));
  Error recovery = rig.failure(reply(472, ""));
  Error standby = rig.failure(reply(473, ""));
  Error broken = rig.failure(reply(502, "bad gateway"));

  CHECK(limited.code == Code::kResourceExhausted);
  CHECK(limited.retry_after == 7s);
  CHECK(has(limited.message, "status 429: too many requests: \"rate limit quota exceeded\""));
  CHECK(dated.code == Code::kUnavailable);
  CHECK(dated.retry_after == 30s);
  CHECK(has(dated.message, "status 503: sealed or under maintenance: \"Vault is sealed\""));
  CHECK(recovery.code == Code::kUnavailable);
  CHECK(has(recovery.message, "status 472: a standby for disaster recovery"));
  CHECK(standby.code == Code::kUnavailable);
  CHECK(has(standby.message, "status 473: a performance standby"));
  CHECK(broken.code == Code::kUnavailable);
  CHECK_FALSE(broken.retry_after);
}

TEST_CASE("an error is bounded and repeats no secret") {
  Rig rig;

  Error echo = rig.failure(refusal(400, "bad token s.very-secret, s.very-secret"));
  Error at_the_cut = rig.failure(refusal(400, std::string(295, 'x') + "s.very-secret"));
  std::string many = R"({"errors":["a","b","c","d","e"]})";
  Error first = rig.failure(reply(400, many));

  CHECK(has(echo.message, "\"bad token (secret), (secret)\""));
  CHECK(has(at_the_cut.message, "xxx(secr\""));
  CHECK(first.message.ends_with(": \"a\", \"b\", \"c\""));
}

TEST_CASE("an answer that is no JSON object, or too much, is refused") {
  Rig rig;

  CHECK(rig.failure(reply(200, "[]")).code == Code::kDataLoss);
  CHECK(has(rig.failure(reply(200, "[]")).message, "the answer is no JSON object"));
  CHECK(has(rig.failure(reply(200, "{\"a\":1,\"a\":2}")).message, "member \"a\" is given twice"));
  CHECK(has(rig.failure(reply(200, "{")).message, "JSON: malformed at byte"));
  CHECK(has(rig.failure(reply(200, "{\"a\":" + std::string(20, '[') + std::string(20, ']') + "}"))
                .message,
            "nested deeper than 16 levels"));
  std::string large = "{\"a\":\"" + std::string(256 * 1024, 'x') + "\"}";
  CHECK(has(rig.failure(reply(200, large)).message, "its body is larger than 262144 bytes"));
}

TEST_CASE("a server that is not the one that was meant gets no byte") {
  Rig rig;
  VaultOptions options = rig.options();
  options.ca_file = rig.write("stranger.pem", TestCa::root("stranger").certificate.pem());
  Error stranger = rig.failure(options);
  options.ca_file = std::nullopt;
  Error of_the_system = rig.failure(options);
  options = rig.options();
  std::string port = std::to_string(rig.vault.url().port());
  options.addresses = {Url::parse("https://127.0.0.1:" + port).value()};
  Error other_name = rig.failure(options);

  CHECK(stranger.code == Code::kUnauthenticated);
  CHECK(of_the_system.code == Code::kUnauthenticated);
  CHECK(other_name.code == Code::kUnauthenticated);
  CHECK(has(other_name.message, "IP address mismatch"));
  CHECK(rig.vault.requests.empty());
}

TEST_CASE("the CA file is read each time, and an unreadable one is named") {
  Rig rig;
  rig.vault.handlers[kSign] = [](const std::string&) { return reply(200, kDone); };
  VaultOptions options = rig.options();
  options.ca_file = rig.write("ca2.pem", TestCa::root("stranger").certificate.pem());
  REQUIRE(rig.failure(options).code == Code::kUnauthenticated);

  rig.write("ca2.pem", rig.web.certificate.pem());
  CHECK(rig.call(options).has_value());

  rig.write("ca2.pem", "");
  CHECK(rig.failure(options).code == Code::kFailedPrecondition);
  CHECK(has(rig.failure(options).message, "ca2.pem"));
}

TEST_CASE("a standby's leader is asked instead, with the same token") {
  Rig rig;
  FakeVault leader(rig.web);
  leader.handlers[kSign] = [](const std::string&) { return reply(200, kDone); };
  rig.vault.handlers[kSign] = [&](const std::string&) {
    return reply(307, "", "Location: " + leader.url().str() + "/v1/pki/sign/web\r\n");
  };

  auto answer = rig.call(rig.options());

  REQUIRE_MESSAGE(answer, answer.error().message);
  REQUIRE(leader.requests.size() == 1);
  CHECK(header(leader.requests[0], "X-Vault-Token") == "s.very-secret");
  CHECK(leader.requests[0].ends_with("\r\n\r\n{}"));
}

TEST_CASE("a redirect is followed only to the same path of a server that is proven, and twice") {
  Rig rig;
  TestCa stranger = TestCa::root("stranger");
  FakeVault thief(stranger);
  auto to = [&](const std::string& location) {
    return rig.failure(reply(307, "", "Location: " + location + "\r\n"));
  };

  CHECK(to(thief.url().str() + "/v1/pki/sign/web").code == Code::kUnauthenticated);
  CHECK(thief.requests.empty());
  CHECK(has(to("/v1/other").message, "redirected to another path"));
  CHECK(has(to("http://localhost/v1/pki/sign/web").message, "it must start with https://"));
  CHECK(has(to("").message, "redirected, to where"));
  rig.vault.requests.clear();
  CHECK(has(to("/v1/pki/sign/web").message, "redirected more than 2 times"));
  CHECK(rig.vault.requests.size() == 3);
}

TEST_CASE("the next address is asked if one is down, sealed or another's") {
  Rig rig;
  rig.vault.handlers[kSign] = [](const std::string&) { return reply(200, kDone); };
  FakeVault sealed(rig.web);
  sealed.handlers[kSign] = [](const std::string&) { return refusal(503, "Vault is sealed"); };
  FakeVault stranger(TestCa::root("stranger"));
  std::optional<FakeVault> down(std::in_place, rig.web);
  VaultOptions options = rig.options();
  options.addresses = {down->url(), sealed.url(), stranger.url(), rig.vault.url()};
  down.reset();

  rig.with(options, [&](VaultClient& client, const VaultCall& call) {
    CHECK(client.call(call, std::chrono::steady_clock::now() + 5s).has_value());
    CHECK(sealed.requests.size() == 1);
    // The one that answered is asked first.
    CHECK(client.call(call, std::chrono::steady_clock::now() + 5s).has_value());
    CHECK(sealed.requests.size() == 1);
    CHECK(rig.vault.requests.size() == 2);
    return 0;
  });
  CHECK(stranger.requests.empty());
}

TEST_CASE("if no address answers the error tells of each") {
  Rig rig;
  rig.vault.handlers[kSign] = [](const std::string&) {
    return refusal(503, "Vault is sealed", "Retry-After: 9\r\n");
  };
  std::optional<FakeVault> down(std::in_place, rig.web);
  VaultOptions options = rig.options();
  options.addresses = {rig.vault.url(), down->url()};
  std::string gone = down->url().str();
  down.reset();

  Error error = rig.failure(options);

  CHECK(error.code == Code::kUnavailable);
  CHECK(has(error.message, "\"Vault is sealed\"; POST " + gone));
  CHECK(has(error.message, "connect: Connection refused"));
  CHECK(error.retry_after == 9s);
}

TEST_CASE("a refusal and a limit hold for the whole cluster") {
  Rig rig;
  FakeVault other(rig.web);
  VaultOptions options = rig.options();
  options.addresses = {rig.vault.url(), other.url()};
  for (int status : {400, 403, 404, 429}) {
    rig.vault.handlers[kSign] = [=](const std::string&) { return refusal(status, "no"); };
    CHECK_FALSE(rig.call(options).has_value());
  }

  CHECK(other.requests.empty());
}

// Takes connections and never says a word.
struct SilentServer {
  boost::asio::io_context io;
  boost::asio::ip::tcp::acceptor acceptor{io, {boost::asio::ip::address_v4::loopback(), 0}};
};

TEST_CASE("a silent server leaves time for the next one") {
  Rig rig;
  rig.vault.handlers[kSign] = [](const std::string&) { return reply(200, kDone); };
  SilentServer silent;
  VaultOptions options = rig.options();
  std::string port = std::to_string(silent.acceptor.local_endpoint().port());
  options.addresses = {Url::parse("https://localhost:" + port).value(), rig.vault.url()};

  auto answer = rig.with(options, [](VaultClient& client, const VaultCall& call) {
    return client.call(call, std::chrono::steady_clock::now() + 600ms);
  });

  CHECK_MESSAGE(answer.has_value(), answer.error().message);
}

}  // namespace
}  // namespace nodepilot
