#include "attest/docker/engine_socket.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string>
#include <thread>

#include "agent/base/fd.h"
#include "test/support/temporary_directory.h"

using namespace nodepilot;
using namespace std::chrono_literals;

namespace {

const std::string kId(64, 'a');

std::string ok(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

// Answers one request with `answer` and then holds the connection; with nothing, never accepts.
class FakeEngine {
 public:
  explicit FakeEngine(std::string answer) : answer_(std::move(answer)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.string().size() + 1);
    listener_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
    REQUIRE(::listen(listener_.get(), 1) == 0);
    if (!answer_.empty()) thread_ = std::thread([this] { serve(); });
  }
  FakeEngine(const FakeEngine&) = delete;
  FakeEngine& operator=(const FakeEngine&) = delete;
  ~FakeEngine() { end(); }

  // What was asked, to be called once.
  std::string request() {
    end();
    return request_;
  }

  expected<std::string> inspect(Duration timeout = 30s, uid_t owner = ::geteuid()) const {
    return EngineSocket(path, owner).inspect(kId, timeout);
  }

 private:
  TemporaryDirectory home_;

 public:
  const std::filesystem::path path = home_ / "s";

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
    ::send(client.get(), answer_.data(), answer_.size(), MSG_NOSIGNAL);
    while (::read(client.get(), part.data(), part.size()) > 0) {
    }
  }

  const std::string answer_;
  std::string request_;
  Fd listener_;
  std::thread thread_;
};

}  // namespace

TEST_CASE("the engine is asked about one container, and its answer is given") {
  FakeEngine engine(ok("{}"));

  auto answer = engine.inspect();

  REQUIRE_MESSAGE(answer, (answer ? "" : answer.error().message));
  CHECK(*answer == "{}");
  CHECK(engine.request().starts_with("GET /containers/" + kId + "/json HTTP/1.1\r\n"));
}

TEST_CASE("a container that the engine does not have is not found") {
  FakeEngine engine("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");

  CHECK(engine.inspect().error().code == Code::kNotFound);
}

TEST_CASE("an engine that fails is unavailable") {
  FakeEngine engine("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");

  CHECK(engine.inspect().error().code == Code::kUnavailable);
}

TEST_CASE("what is no HTTP, or larger than allowed, is no answer") {
  CHECK(FakeEngine("hello\r\n\r\n").inspect().error().code == Code::kUnavailable);
  CHECK(FakeEngine("HTTP/1.1 200 OK\r\nContent-Length: 4194305\r\n\r\n").inspect().error().code ==
        Code::kUnavailable);
}

TEST_CASE("a socket of another user is asked nothing") {
  FakeEngine engine(ok("{}"));

  auto answer = engine.inspect(30s, ::geteuid() + 1);

  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == Code::kPermissionDenied);
  CHECK(engine.request().empty());
}

TEST_CASE("an engine that hangs is left at the timeout") {
  FakeEngine silent("");
  CHECK(silent.inspect(100ms).error().code == Code::kDeadlineExceeded);

  FakeEngine halfway("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{");
  CHECK(halfway.inspect(100ms).error().code == Code::kDeadlineExceeded);
}

TEST_CASE("without an engine the error names the socket") {
  auto answer = EngineSocket("/nonexistent/s", 0).inspect(kId, 1s);

  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == Code::kUnavailable);
  CHECK(answer.error().message.starts_with("ask the engine at /nonexistent/s: connect: "));

  CHECK_FALSE(EngineSocket("/" + std::string(200, 'x'), 0).inspect(kId, 1s));
}
