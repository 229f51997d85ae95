#include "agent/envoy_admin.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <thread>

#include "agent/base/fd.h"
#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

std::string ok(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

// Answers one request with `answer`, and closes if it `closes`, else waits for the client to.
class FakeAdmin {
 public:
  explicit FakeAdmin(std::string answer, bool closes = true)
      : answer_(std::move(answer)), closes_(closes) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.string().size() + 1);
    listener_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
    REQUIRE(::listen(listener_.get(), 1) == 0);
    thread_ = std::thread([this] { serve(); });
  }
  FakeAdmin(const FakeAdmin&) = delete;
  FakeAdmin& operator=(const FakeAdmin&) = delete;
  ~FakeAdmin() { end(); }

  expected<std::string> get() const { return get_from_admin(path, "/stats?filter=a"); }

  // What was asked; to be called once, after get().
  std::string request() {
    end();
    return request_;
  }

 private:
  TemporaryDirectory home_;

 public:
  const std::filesystem::path path = home_.path() / "s";

 private:
  void end() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
  }

  void serve() {
    Fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!client) return;
    std::array<char, 4096> part{};
    while (request_.find("\r\n\r\n") == std::string::npos) {
      auto n = ::read(client.get(), part.data(), part.size());
      if (n <= 0) return;
      request_.append(part.data(), static_cast<std::size_t>(n));
    }
    for (std::size_t sent = 0; sent < answer_.size();) {
      auto n = ::send(client.get(), answer_.data() + sent, answer_.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) return;
      sent += static_cast<std::size_t>(n);
    }
    while (!closes_ && ::read(client.get(), part.data(), part.size()) > 0) {
    }
  }

  const std::string answer_;
  const bool closes_;
  std::string request_;
  Fd listener_;
  std::thread thread_;
};

std::string error_of(const std::string& answer) {
  auto body = FakeAdmin(answer).get();
  REQUIRE_FALSE(body);
  CHECK(body.error().code == Code::kUnavailable);
  CHECK(body.error().message.size() < 500);
  return body.error().message;
}

TEST_CASE("the body of an answer is got, by one request") {
  FakeAdmin admin(ok("a: 1\n"));

  CHECK(*admin.get() == "a: 1\n");
  CHECK(admin.request().starts_with("GET /stats?filter=a HTTP/1.1\r\n"));
}

TEST_CASE(
    "an answer in chunks, one without a length, and one that is not ended are read to the end") {
  CHECK(*FakeAdmin("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n"
                   "\r\n")
             .get() == "abc");
  CHECK(*FakeAdmin("HTTP/1.1 200 OK\r\n\r\nabc").get() == "abc");
  CHECK(*FakeAdmin(ok("abc"), /*closes=*/false).get() == "abc");
}

TEST_CASE("an answer that breaks off is an error, not half a truth") {
  for (const char* answer : {"", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
                             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
                             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"}) {
    CAPTURE(answer);
    CHECK(error_of(answer).find("ask Envoy's admin interface at /") == 0);
  }
}

TEST_CASE("what is not HTTP, or lies about its length, is an error") {
  for (const char* answer :
       {"SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc", "\r\n\r\n\r\n"}) {
    CAPTURE(answer);
    error_of(answer);
  }
}

TEST_CASE("a status but 200 is told and its body is not taken for counts") {
  CHECK(error_of("HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\nabc").find("HTTP 503") !=
        std::string::npos);
  error_of("HTTP/1.1 302 Found\r\nLocation: http://example.org/\r\nContent-Length: 0\r\n\r\n");
}

TEST_CASE("an answer that is too large is refused, announced or not") {
  const std::size_t most = std::size_t{16} * 1024 * 1024;
  CHECK(FakeAdmin(ok(std::string(most, 'a'))).get()->size() == most);
  error_of("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nabc");
  error_of("HTTP/1.1 200 OK\r\n\r\n" + std::string(most + 1, 'a'));
  error_of("HTTP/1.1 200 OK\r\nx: " + std::string(most, 'a') + "\r\n\r\n");
}

TEST_CASE("an admin interface that is not there is an error that names it") {
  auto none = get_from_admin(std::filesystem::path("/nonexistent/admin.sock"), "/stats");
  CHECK(none.error().code == Code::kUnavailable);
  CHECK(none.error().message.find("/nonexistent/admin.sock: ") != std::string::npos);

  auto long_path = get_from_admin(std::filesystem::path("/" + std::string(300, 'a')), "/stats");
  CHECK(long_path.error().code == Code::kInvalidArgument);
}

}  // namespace
}  // namespace nodepilot
