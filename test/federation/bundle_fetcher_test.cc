#include "rotation/federation/bundle_fetcher.h"

#include <doctest/doctest.h>

#include <map>

#include "test/federation/kit.h"
#include "test/https/tls_server.h"
#include "test/pki/test_ca.h"
#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

using test::noon;
using test::Recipe;
using test::TestCa;
using test::TlsServer;

const std::string kEndpoint = "spiffe://b.org/endpoint";

std::string ok(const std::string& body, const std::string& type = "application/json") {
  return "HTTP/1.1 200 OK\r\nContent-Type: " + type +
         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string redirect(const std::string& location) {
  return "HTTP/1.1 301 Moved\r\nLocation: " + location + "\r\nContent-Length: 0\r\n\r\n";
}

// A server for "localhost" and for kEndpoint alike, with an answer for each path.
struct Rig {
  explicit Rig(std::map<std::string, std::string> by_path) : answers(std::move(by_path)) {}

  std::string answer(const std::string& head) {
    std::string path = head.substr(4, head.find(' ', 4) - 4);
    ++requests[path];
    return answers.at(path);
  }
  expected<std::string> fetch_from(const std::string& url) {
    Federation federation{.trust_domain = domain("b.org"),
                          .url = Url::parse(url).value(),
                          .profile = HttpsSpiffe{SpiffeId::parse(kEndpoint).value(), {}}};
    return fetcher.fetch(federation, anchors, noon());
  }
  expected<std::string> fetch(const std::string& path) {
    return fetch_from(server.url("127.0.0.1", path));
  }
  expected<std::string> fetch_web(const std::filesystem::path& ca_file) {
    Federation federation{.trust_domain = domain("b.org"),
                          .url = Url::parse(server.url("localhost", "/")).value(),
                          .profile = HttpsWeb{ca_file}};
    return fetcher.fetch(federation, nullptr, noon());
  }
  std::string refusal(const std::string& path) {
    auto text = fetch(path);
    return text ? "accepted" : text.error().message;
  }

  std::map<std::string, std::string> answers;
  std::map<std::string, int> requests;
  TestCa ca = TestCa::root();
  PrivateKey key = PrivateKey::generate().value();
  std::shared_ptr<const TrustBundle> anchors = std::make_shared<const TrustBundle>(
      TrustBundle::create(domain("b.org"), {ca.certificate}).value());
  HttpsBundleFetcher fetcher;
  TlsServer server{{ca.leaf(key, kEndpoint,
                            [](Recipe& r) {
                              r.sans.push_back({GEN_DNS, "localhost"});
                            })},
                   key,
                   [this](const std::string& head) { return answer(head); }};
};

TEST_CASE("what the endpoint serves comes back as it is") {
  Rig rig({{"/", ok(" {\"keys\": []}\n")}});

  auto text = rig.fetch("/");

  REQUIRE_MESSAGE(text, text.error().message);
  CHECK(*text == " {\"keys\": []}\n");
}

TEST_CASE("redirects are followed, and each fetch starts where it is configured to") {
  Rig rig({{"/", redirect("/b")}, {"/b", redirect("/c")}, {"/c", ok("{}")}});

  CHECK(rig.fetch("/").value() == "{}");
  CHECK(rig.fetch("/").value() == "{}");

  CHECK(rig.requests["/"] == 2);
}

TEST_CASE("redirects are bounded") {
  Rig rig({{"/", redirect("/")}});

  CHECK(has(rig.refusal("/"), "redirected more than 5 times"));
  CHECK(rig.requests["/"] == 6);
}

TEST_CASE("a redirect to what is no endpoint URL is refused") {
  Rig rig({{"/http", redirect("http://b.org/")},
           {"/user", redirect("https://u@b.org/")},
           {"/none", "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"}});

  CHECK(has(rig.refusal("/http"), "it must start with https://, got \"http://b.org/\""));
  CHECK(has(rig.refusal("/user"), "without user info"));
  CHECK(has(rig.refusal("/none"), "redirected, to where: must be an https URL"));
}

TEST_CASE("the target of a redirect must prove the same identity") {
  Rig rig({});
  Rig other({{"/", ok("{}")}});  // the same ID, but of another CA
  rig.answers["/"] = redirect(other.server.url("127.0.0.1"));

  auto text = rig.fetch("/");

  REQUIRE_FALSE(text);
  CHECK(text.error().code == Code::kUnauthenticated);
  CHECK(other.requests.empty());
}

TEST_CASE("what is no bundle is told as what it is") {
  Rig rig({{"/html", ok("<!DOCTYPE html>", "text/html")},
           {"/empty", ok("")},
           {"/list", ok("[]")},
           {"/404", "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}"},
           {"/204", "HTTP/1.1 204 No Content\r\n\r\n"}});

  CHECK(has(rig.refusal("/html"),
            R"(its type is "text/html", and it starts with "<!DOCTYPE html>")"));
  CHECK(has(rig.refusal("/empty"), "no SPIFFE bundle"));
  CHECK(has(rig.refusal("/list"), "no SPIFFE bundle"));
  CHECK(has(rig.refusal("/404"), "status 404"));
  CHECK(has(rig.refusal("/204"), "status 204"));
}

TEST_CASE("https_web takes its CAs from a file, if it names one, each time anew") {
  Rig rig({{"/", ok("{}")}});
  TemporaryDirectory directory;
  auto file = directory.write("ca.pem", TestCa::root("stranger").certificate.pem());

  auto stranger = rig.fetch_web(file);
  directory.write("ca.pem", rig.ca.certificate.pem());
  auto known = rig.fetch_web(file);
  auto missing = rig.fetch_web(directory / "none.pem");
  directory.write("ca.pem", "junk");
  auto junk = rig.fetch_web(file);

  REQUIRE_FALSE(stranger);
  CHECK(stranger.error().code == Code::kUnauthenticated);
  CHECK_MESSAGE(known.has_value(), known.error().message);
  REQUIRE_FALSE(missing);
  CHECK(has(missing.error().message, "none.pem"));
  REQUIRE_FALSE(junk);
  CHECK(has(junk.error().message, "ca.pem: certificates: "));
}

TEST_CASE("a fetch can be stopped") {
  Rig rig({{"/", ok("{}")}});
  rig.fetcher.stop();

  auto text = rig.fetch("/");

  REQUIRE_FALSE(text);
  CHECK(text.error().code == Code::kCancelled);
}

}  // namespace
}  // namespace nodepilot
