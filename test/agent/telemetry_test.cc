#include "agent/telemetry.h"

#include <doctest/doctest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <future>
#include <thread>

#include "test/agent/admin_rig.h"

namespace nodepilot {
namespace {

using boost::asio::ip::tcp;

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// All that comes back for `text` until the end.
std::string talk(std::uint16_t port, const std::string& text) {
  boost::asio::io_context io;
  tcp::socket socket(io);
  socket.connect({boost::asio::ip::address_v4::loopback(), port});
  boost::system::error_code error;
  boost::asio::write(socket, boost::asio::buffer(text), error);
  std::string answer;
  boost::asio::read(socket, boost::asio::dynamic_buffer(answer), error);
  return answer;
}

std::string get(std::uint16_t port, const std::string& path) {
  return talk(port, "GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n");
}

// Telemetry on a loop that runs on a thread of its own, which alone touches the rest.
struct TelemetryRig {
  explicit TelemetryRig(std::uint16_t at = 0) {
    TelemetryConfig config{.listen = {.address = "127.0.0.1", .port = at}};
    telemetry.emplace(loop, admin.clock, config, admin.context);
    thread = std::thread([this] { loop.run(); });
  }
  TelemetryRig(const TelemetryRig&) = delete;
  TelemetryRig& operator=(const TelemetryRig&) = delete;
  ~TelemetryRig() {
    on_loop([this] { telemetry.reset(); });
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
  expected<void> listen() {
    expected<void> listening;
    on_loop([&] { listening = telemetry->listen(); });
    return listening;
  }
  std::uint16_t port() {
    std::uint16_t at = 0;
    on_loop([&] { at = telemetry->port(); });
    return at;
  }

  AdminRig admin{1};
  Loop loop;
  std::optional<Telemetry> telemetry;
  std::thread thread;
};

TEST_CASE("metrics are told in Prometheus' text format") {
  TelemetryRig rig;
  REQUIRE(rig.listen());

  std::string answer = get(rig.port(), "/metrics");

  CHECK(answer.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(has(answer, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  CHECK(has(answer, "\r\n\r\n# HELP nodepilot_build_info "));
  CHECK(get(rig.port(), "/metrics?x=1").starts_with("HTTP/1.1 200 "));
}

TEST_CASE("who asks for metrics more than once a second gets the same again") {
  TelemetryRig rig;
  REQUIRE(rig.listen());
  auto rejections = [&] {
    std::string answer = get(rig.port(), "/metrics");
    std::string line = "\nnodepilot_sds_nacks_total ";
    return answer.substr(answer.find(line) + line.size(), 1);
  };
  CHECK(rejections() == "0");

  rig.on_loop([&] { rig.admin.rejections = 1; });
  CHECK(rejections() == "0");
  rig.on_loop([&] { rig.admin.clock.advance(seconds(1)); });
  CHECK(rejections() == "1");
}

TEST_CASE("a clock that was set back keeps no metrics") {
  TelemetryRig rig;
  REQUIRE(rig.listen());
  get(rig.port(), "/metrics");

  rig.on_loop([&] {
    rig.admin.rejections = 1;
    rig.admin.clock.advance(-hours(1));
  });

  CHECK(has(get(rig.port(), "/metrics"), "\nnodepilot_sds_nacks_total 1\n"));
}

TEST_CASE("an agent that serves is live and ready") {
  TelemetryRig rig;
  REQUIRE(rig.listen());

  CHECK(get(rig.port(), "/live").starts_with("HTTP/1.1 200 OK\r\n"));
  std::string ready = get(rig.port(), "/ready");
  CHECK(ready.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(ready.ends_with("\r\n\r\n{\"ready\":true,\"reasons\":[]}\n"));
}

TEST_CASE("an agent whose place another has is live, and says why it is not ready") {
  TelemetryRig rig;
  REQUIRE(rig.listen());
  rig.on_loop([&] { rig.admin.standing = Listener::Standing::kWaiting; });

  CHECK(get(rig.port(), "/live").starts_with("HTTP/1.1 200 OK\r\n"));
  std::string ready = get(rig.port(), "/ready");
  CHECK(ready.starts_with("HTTP/1.1 503 "));
  CHECK(has(ready, R"({"ready":false,"reasons":["another agent serves the sockets;)"));
}

TEST_CASE("a CA that fails after the first bundle takes no readiness away") {
  TelemetryRig rig;
  REQUIRE(rig.listen());

  rig.on_loop([&] {
    rig.admin.ca.fail_with(Code::kUnavailable);
    rig.admin.clock.advance(hours(2));
  });

  CHECK(get(rig.port(), "/ready").starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST_CASE("who has no trust bundle is not ready, and tells strangers no error of the CA") {
  AdminRig stage(0);
  FakeClock clock;
  IdentityStore store(clock, make_entries(1));
  stage.ca.fail_with(Code::kUnavailable);
  Rotator rotator(clock, stage.workers, stage.ca, store, {}, [] { return 0.5; });
  rotator.start();
  REQUIRE(rotator.ca_last_error());
  AdminContext context{.clock = clock,
                       .store = store,
                       .rotator = rotator,
                       .callers = stage.callers,
                       .refusals = stage.refusals,
                       .procfs = {},
                       .trust_domain = "td",
                       .ca_name = "fake",
                       .started_at = clock.now(),
                       .connections = [] { return std::size_t{0}; },
                       .federations = [] { return std::vector<FederationStatus>(); },
                       .outputs = [] { return std::vector<OutputStatus>(); }};
  Loop loop;
  Telemetry telemetry(loop, clock, {.listen = {.address = "127.0.0.1", .port = 0}}, context);
  REQUIRE(telemetry.listen());
  auto client = std::async(std::launch::async, [&loop, port = telemetry.port()] {
    std::string answer = get(port, "/ready");
    loop.stop();
    return answer;
  });
  loop.run();

  std::string answer = client.get();
  CHECK(answer.starts_with("HTTP/1.1 503 "));
  CHECK(has(answer, R"("reasons":["no trust bundle yet: the CA has told none"])"));
}

TEST_CASE("other paths, methods and texts are refused") {
  TelemetryRig rig;
  REQUIRE(rig.listen());

  for (const char* path : {"/", "/metrics/", "/livez", "//metrics", "/../metrics"}) {
    CHECK(get(rig.port(), path).starts_with("HTTP/1.1 404 "));
  }
  CHECK(talk(rig.port(), "POST /metrics HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
            .starts_with("HTTP/1.1 405 "));
  CHECK(talk(rig.port(), "junk\r\n\r\n").starts_with("HTTP/1.1 400 "));
  CHECK(talk(rig.port(), "GET /live HTTP/1.1\r\nX: " + std::string(9000, 'x') + "\r\n\r\n")
            .starts_with("HTTP/1.1 400 "));
}

TEST_CASE("a crowd of silent connections keeps no probe out") {
  TelemetryRig rig;
  REQUIRE(rig.listen());
  std::uint16_t port = rig.port();
  boost::asio::io_context io;
  std::vector<tcp::socket> crowd;
  for (int i = 0; i < 64; ++i) {
    crowd.emplace_back(io).connect({boost::asio::ip::address_v4::loopback(), port});
  }

  CHECK(get(port, "/live").starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST_CASE("who follows another agent waits for its port, who does not is told that it is taken") {
  TelemetryRig old;
  REQUIRE(old.listen());
  std::uint16_t port = old.port();
  TelemetryRig fresh(port);
  auto refused = fresh.listen();
  REQUIRE_FALSE(refused);
  CHECK(has(refused.error().message, "telemetry: listen on 127.0.0.1 port"));

  fresh.on_loop([&] { fresh.telemetry->listen_patiently(); });
  CHECK(fresh.port() == 0);
  old.on_loop([&] { old.telemetry->close(); });
  fresh.on_loop([&] { fresh.admin.clock.advance(seconds(1)); });

  CHECK(fresh.port() == port);
  CHECK(get(port, "/live").starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST_CASE("who has closed does not come back by itself") {
  TelemetryRig old;
  REQUIRE(old.listen());
  TelemetryRig fresh(old.port());
  fresh.on_loop([&] { fresh.telemetry->listen_patiently(); });

  fresh.on_loop([&] { fresh.telemetry->close(); });
  old.on_loop([&] { old.telemetry->close(); });
  fresh.on_loop([&] { fresh.admin.clock.advance(minutes(1)); });

  CHECK(fresh.port() == 0);
}

}  // namespace
}  // namespace nodepilot
