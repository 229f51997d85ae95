#include "sds/rpc/listener.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "test/rpc/server_rig.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

int open_descriptors() {
  int n = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator("/proc/self/fd")) ++n;
  return n;
}

TEST_CASE("fault 44: a second listener at the same path is refused, the first serves on") {
  ServerRig rig;
  rig.start();
  Listener::Options options;
  options.path = rig.path();

  auto second = Listener::open(rig.loop(), options, {});

  REQUIRE_FALSE(second);
  CHECK(second.error().code == Code::kFailedPrecondition);
  auto& client = rig.connect();
  auto stream = client.call("/test.T/Echo", "");
  CHECK(rig.until([&] { return client[stream].closed; }));
}

TEST_CASE("a connection over the limit is closed, the earlier ones live on") {
  Limits limits;
  limits.connections_per_uid = 2;
  ServerRig rig(limits);
  auto& first = rig.connect();
  auto& second = rig.connect();
  REQUIRE(rig.until([&] { return rig.listener().connections() == 2; }));

  auto& third = rig.raw();

  CHECK(rig.until([&] { return third.closed(); }));
  CHECK_FALSE(first.closed());
  CHECK_FALSE(second.closed());

  first.socket().close();
  REQUIRE(rig.until([&] { return rig.listener().connections() == 1; }));
  auto& fourth = rig.connect();
  auto stream = fourth.call("/test.T/Echo", "");
  CHECK(rig.until([&] { return fourth[stream].closed; }));
}

TEST_CASE("two hundred clients leave no descriptor behind") {
  ServerRig rig;
  rig.start();
  int before = open_descriptors();

  for (int i = 0; i < 200; ++i) {
    UnixClient client(rig.path());
    client.write(i % 3 == 0 ? greeting() : "garbage that is long enough to be no preface");
    client.pump();
    if (i % 20 == 0) rig.settle();
  }

  CHECK(rig.until([&] { return rig.listener().connections() == 0; }));
  rig.settle();
  CHECK(open_descriptors() == before);
}

TEST_CASE("out of descriptors, the newest is shed; later ones are served again") {
  ServerRig rig;
  auto& served = rig.connect();
  rig.settle();
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  UnixClient waiting(rig.path());
  // The next free number is the limit: no more descriptors for this process.
  int next = ::dup(0);
  ::close(next);
  rlimit none = {static_cast<rlim_t>(next), before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);

  bool shed = rig.until([&] {
    waiting.pump();
    return waiting.closed();
  });
  ::setrlimit(RLIMIT_NOFILE, &before);

  CHECK(shed);
  CHECK_FALSE(served.closed());
  auto& later = rig.connect();
  auto stream = later.call("/test.T/Echo", "");
  CHECK(rig.until([&] { return later[stream].closed; }));
  CHECK(later[stream].status() == 0);
}

TEST_CASE("fault 45: a path that somebody removes is put back, earlier connections live on") {
  ServerRig rig;
  auto& client = rig.connect();
  rig.settle();

  fs::remove(rig.path());

  CHECK(rig.until([&] { return fs::exists(rig.path()); }));
  for (H2Client* each : {&client, &rig.connect()}) {
    auto stream = each->call("/test.T/Echo", "");
    CHECK(rig.until([&] { return (*each)[stream].closed; }));
    CHECK((*each)[stream].status() == 0);
  }
}

TEST_CASE(
    "fault 89: a successor waits until told, then takes the path; earlier connections live on") {
  ServerRig rig;
  auto& earlier = rig.connect();
  rig.settle();
  Listener::Options options;
  options.path = rig.path();
  options.mode = 0600;
  options.path_check = 20ms;
  options.may_follow = true;
  int changes = 0;
  options.on_standing = [&] { ++changes; };
  auto opened = Listener::open(rig.loop(), options, {});
  REQUIRE(opened);
  std::unique_ptr<Listener> second = std::move(*opened);
  CHECK(second->standing() == Listener::Standing::kWaiting);
  rig.connect();
  REQUIRE(rig.until([&] { return rig.listener().connections() == 2; }));

  second->take_over();

  CHECK(second->standing() == Listener::Standing::kServing);
  CHECK(changes == 1);
  CHECK(rig.until([&] { return rig.listener().standing() == Listener::Standing::kFollowed; }));
  rig.connect();
  CHECK(rig.until([&] { return second->connections() == 1; }));
  auto stream = earlier.call("/test.T/Echo", "");
  CHECK(rig.until([&] { return earlier[stream].closed; }));
  CHECK(earlier[stream].status() == 0);

  rig.close_listener();
  rig.settle();
  CHECK(fs::exists(rig.path()));
  CHECK(second->standing() == Listener::Standing::kServing);
}

TEST_CASE("fault 89: who was followed serves its path again when the successor has ended") {
  ServerRig rig;
  rig.start();
  Listener::Options options;
  options.path = rig.path();
  options.may_follow = true;
  auto opened = Listener::open(rig.loop(), options, {});
  REQUIRE(opened);
  std::unique_ptr<Listener> second = std::move(*opened);
  second->take_over();
  REQUIRE(rig.until([&] { return rig.listener().standing() == Listener::Standing::kFollowed; }));

  second.reset();

  CHECK(rig.until([&] { return rig.listener().standing() == Listener::Standing::kServing; }));
  auto& client = rig.connect();
  auto stream = client.call("/test.T/Echo", "");
  CHECK(rig.until([&] { return client[stream].closed; }));
}

TEST_CASE("a successor that waits takes the path when the other ends") {
  ServerRig rig;
  rig.start();
  Listener::Options options;
  options.path = rig.path();
  options.path_check = 20ms;
  options.may_follow = true;
  auto opened = Listener::open(rig.loop(), options, {});
  REQUIRE(opened);

  rig.close_listener();

  CHECK(rig.until([&] { return (*opened)->standing() == Listener::Standing::kServing; }));
  CHECK(fs::exists(rig.path()));
}

TEST_CASE("fault 89: who waits in the queue of a socket that was followed is told that it drains") {
  ServerRig rig;
  rig.start();
  Listener::Options options;
  options.path = rig.path();
  options.may_follow = true;
  auto opened = Listener::open(rig.loop(), options, {});
  REQUIRE(opened);
  auto& queued = rig.connect();  // nobody has accepted it yet

  (*opened)->take_over();
  bool done = false;
  rig.listener().drain(10s, [&] { done = true; });

  CHECK(rig.until([&] { return done && queued.closed(); }));
  CHECK(queued.goaway());
}

TEST_CASE("a call may drain the listener that serves it") {
  ServerRig rig;
  bool done = false;
  bool within = false;
  bool destroyed_within = false;
  rig.add({"/test.T/Stop", Method::Requests::kOne, 16384, [&](Call& call) {
             auto handler = std::make_unique<FunctionHandler>();
             handler->message = [&](std::string_view) {
               within = true;
               call.send(make_reply("stopping"));
               call.finish(Status());
               rig.listener().drain(10s, [&] { done = true; });
               within = false;
             };
             handler->destroyed = [&] { destroyed_within = within; };
             return handler;
           }});
  auto& client = rig.connect();
  auto stream = client.call("/test.T/Stop", "");

  CHECK(rig.until([&] { return done; }));

  CHECK(rig.until([&] { return client.closed(); }));
  CHECK(client[stream].messages == std::vector<std::string>{"stopping"});
  CHECK(client[stream].status() == 0);
  CHECK_FALSE(destroyed_within);
}

TEST_CASE("draining ends calls with UNAVAILABLE, then says GOAWAY, then closes") {
  ServerRig rig;
  auto& client = rig.connect();
  auto& idle = rig.connect();
  auto stream = client.call("/test.T/Watch", "");
  REQUIRE(rig.until([&] { return rig.watchers() == 1; }));
  rig.push("last news");
  int done = 0;

  rig.listener().drain(10s, [&] { ++done; });

  CHECK(rig.until([&] { return done == 1 && client.closed() && idle.closed(); }));
  CHECK(client[stream].messages == std::vector<std::string>{"last news"});
  CHECK(client[stream].status() == static_cast<int>(Code::kUnavailable));
  CHECK(client[stream].message() == "shutting down");
  CHECK(client.goaway() == NGHTTP2_NO_ERROR);
  CHECK(idle.goaway() == NGHTTP2_NO_ERROR);
  rig.settle();
  CHECK(done == 1);
}

TEST_CASE("while draining nobody new is served, and the path stays until the end") {
  ServerRig rig;
  auto& client = rig.connect({.window = 0, .opens_window = false});
  client.call("/test.T/Watch", "");
  REQUIRE(rig.until([&] { return rig.watchers() == 1; }));
  rig.push("stuck");

  rig.listener().drain(10s, [] {});

  CHECK_THROWS(UnixClient(rig.path()));
  CHECK(fs::exists(rig.path()));
  rig.close_listener();
  CHECK_FALSE(fs::exists(rig.path()));
}

TEST_CASE("draining does not wait longer than its grace") {
  ServerRig rig;
  auto& stuck = rig.connect({.window = 0, .opens_window = false});
  stuck.call("/test.T/Watch", "");
  REQUIRE(rig.until([&] { return rig.watchers() == 1; }));
  rig.push("stuck");
  rig.settle();
  bool done = false;

  rig.listener().drain(20ms, [&] { done = true; });

  CHECK(rig.until([&] { return done; }));
  CHECK(rig.listener().connections() == 1);
}

TEST_CASE("draining without connections is done at once, but not within the call") {
  ServerRig rig;
  rig.start();
  bool done = false;

  rig.listener().drain(10s, [&] { done = true; });

  CHECK_FALSE(done);
  CHECK(rig.until([&] { return done; }));
}

TEST_CASE("a listener that is destroyed takes calls and connections with it") {
  ServerRig rig;
  auto& client = rig.connect();
  client.call("/test.T/Watch", "", {{"grpc-timeout", "10m"}});
  REQUIRE(rig.until([&] { return rig.watchers() == 1; }));
  rig.push("unsent");

  rig.close_listener();

  CHECK(rig.handlers == 0);
  CHECK_FALSE(fs::exists(rig.path()));
  CHECK(rig.until([&] { return client.closed(); }));
}

}  // namespace
}  // namespace nodepilot
