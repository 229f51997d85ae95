#include "sds/rpc/connection.h"

#include <doctest/doctest.h>

#include "test/rpc/server_rig.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;

constexpr int kOk = 0;

int number(Code code) { return static_cast<int>(code); }

// Makes a call, waits for its end.
const H2Client::Call& finish(ServerRig& rig, H2Client& client, std::int32_t stream) {
  CHECK(rig.until([&] { return client[stream].closed; }));
  return client[stream];
}

TEST_CASE("a unary call is answered") {
  ServerRig rig;
  auto& client = rig.connect();

  auto& call = finish(rig, client, client.call("/test.T/Echo", "hello"));

  CHECK(call.messages == std::vector<std::string>{"echo:hello"});
  CHECK(call.status() == kOk);
  CHECK(call.headers.at(":status") == "200");
  CHECK(call.headers.at("content-type") == "application/grpc");
  CHECK_FALSE(call.trailers.contains("grpc-message"));
  CHECK(rig.handlers == 0);
}

TEST_CASE("a unary reply takes one DATA frame, no empty one") {
  ServerRig rig;
  auto& client = rig.connect();

  CHECK(finish(rig, client, client.call("/test.T/Echo", "hello")).data_frames == 1);
}

TEST_CASE("an empty message is a message") {
  ServerRig rig;
  auto& client = rig.connect();

  CHECK(finish(rig, client, client.call("/test.T/Echo", "")).messages ==
        std::vector<std::string>{"echo:"});
}

TEST_CASE("a hundred calls share a connection") {
  ServerRig rig;
  auto& client = rig.connect();
  std::vector<std::int32_t> streams;
  streams.reserve(100);
  for (int i = 0; i < 100; ++i) streams.push_back(client.call("/test.T/Echo", std::to_string(i)));

  for (int i = 0; i < 100; ++i) {
    auto& call = finish(rig, client, streams[static_cast<std::size_t>(i)]);
    CHECK(call.messages == std::vector<std::string>{"echo:" + std::to_string(i)});
  }
}

TEST_CASE("a stream gets every push while it keeps up") {
  ServerRig rig;
  auto& client = rig.connect();
  auto stream = client.call("/test.T/Watch", "me");
  REQUIRE(rig.until([&] { return rig.watchers() == 1; }));

  for (std::size_t i = 1; i <= 3; ++i) {
    rig.push("update " + std::to_string(i));
    CHECK(rig.until([&] { return client[stream].messages.size() == i; }));
  }

  CHECK(client[stream].messages.back() == "update 3");
  CHECK_FALSE(client[stream].closed);
  CHECK(rig.sent == 3);
}

TEST_CASE("news for many connections leave the loop room for other things") {
  ServerRig rig;
  for (int i = 0; i < 100; ++i) rig.connect().call("/test.T/Watch", "");
  REQUIRE(rig.until([&] { return rig.watchers() == 100; }));
  int sent_before = -1;

  rig.push("news");
  rig.loop().post([&] { sent_before = rig.sent; });

  CHECK(rig.until([&] { return rig.sent == 100; }));
  CHECK(sent_before > 0);
  CHECK(sent_before < 100);
}

TEST_CASE("messages and replies of a bidirectional call alternate") {
  ServerRig rig;
  auto& client = rig.connect();
  auto stream = client.start("/test.T/Chat");

  for (std::size_t i = 1; i <= 3; ++i) {
    client.send(stream, framed(std::to_string(i)));
    CHECK(rig.until([&] { return client[stream].messages.size() == i; }));
  }
  client.send(stream, "", true);

  CHECK(finish(rig, client, stream).status() == kOk);
}

TEST_CASE("a large message is cut into frames and windows, and comes out whole") {
  ServerRig rig;
  std::string large(300000, 'x');
  rig.add({"/test.T/Large", Method::Requests::kOne, 16384, [&](Call& call) {
             auto handler = std::make_unique<FunctionHandler>();
             handler->message = [&](std::string_view) {
               call.send(make_reply(large));
               call.finish(Status());
             };
             return handler;
           }});
  auto& client = rig.connect();

  auto& call = finish(rig, client, client.call("/test.T/Large", ""));

  REQUIRE(call.messages.size() == 1);
  CHECK(call.messages[0] == large);
  CHECK(call.status() == kOk);
}

TEST_CASE("a reader that stopped gets the newest message only, after the one half sent") {
  ServerRig rig;
  auto& client = rig.connect({.window = 10, .opens_window = false});
  auto stream = client.call("/test.T/Watch", "me");
  REQUIRE(rig.until([&] { return rig.watchers() == 1; }));
  rig.push("begun before");
  rig.settle();
  CHECK(client[stream].messages.empty());

  for (int i = 0; i < 1000; ++i) rig.push("update " + std::to_string(i));
  rig.settle();
  client.open_window(stream, 1000);

  CHECK(rig.until([&] { return client[stream].messages.size() == 2; }));
  rig.settle();
  CHECK(client[stream].messages == std::vector<std::string>{"begun before", "update 999"});
  CHECK(rig.sent == 1);  // on_sent() means the newest
}

TEST_CASE("a message that has not begun is replaced") {
  ServerRig rig;
  auto& client = rig.connect({.window = 0, .opens_window = false});
  auto stream = client.call("/test.T/Watch", "me");
  REQUIRE(rig.until([&] { return rig.watchers() == 1; }));
  rig.push("old");
  rig.settle();
  rig.push("new");
  rig.settle();
  CHECK(rig.sent == 0);

  client.open_window(stream, 1000);

  CHECK(rig.until([&] { return rig.sent == 1; }));
  rig.settle();
  CHECK(client[stream].messages == std::vector<std::string>{"new"});
}

TEST_CASE("a message sent before the end goes out first, even after a closed window") {
  ServerRig rig;
  Call* seen = nullptr;
  rig.add({"/test.T/Held", Method::Requests::kOne, 16384, [&](Call& call) {
             seen = &call;
             return std::make_unique<FunctionHandler>();
           }});
  auto& client = rig.connect({.window = 3, .opens_window = false});
  auto stream = client.call("/test.T/Held", "");
  REQUIRE(rig.until([&] { return seen != nullptr; }));
  seen->send(make_reply("last words"));
  seen->finish(Status(Code::kAborted, "over"));
  rig.settle();
  CHECK_FALSE(client[stream].closed);

  client.open_window(stream, 1000);

  auto& call = finish(rig, client, stream);
  CHECK(call.messages == std::vector<std::string>{"last words"});
  CHECK(call.status() == number(Code::kAborted));
}

TEST_CASE("a handler is never destroyed within its own callback") {
  ServerRig rig;
  bool within = false;
  bool destroyed = false;
  bool destroyed_within = false;
  rig.add({"/test.T/Hasty", Method::Requests::kOne, 16384, [&](Call& call) {
             auto handler = std::make_unique<FunctionHandler>();
             handler->message = [&](std::string_view) {
               within = true;
               call.send(make_reply("a"));
               call.finish(Status());
               call.finish(Status(Code::kInternal, "a second end is none"));
               call.send(make_reply("neither is this sent"));
               within = false;
             };
             handler->destroyed = [&] {
               destroyed = true;
               destroyed_within = within;
             };
             return handler;
           }});
  auto& client = rig.connect();

  auto& call = finish(rig, client, client.call("/test.T/Hasty", ""));

  CHECK(call.messages == std::vector<std::string>{"a"});
  CHECK(call.status() == kOk);
  CHECK(destroyed);
  CHECK_FALSE(destroyed_within);
}

TEST_CASE("a finished call lets its handler go though its client does not read") {
  ServerRig rig;
  Call* seen = nullptr;
  bool destroyed = false;
  rig.add({"/test.T/Held", Method::Requests::kOne, 16384, [&](Call& call) {
             seen = &call;
             auto handler = std::make_unique<FunctionHandler>();
             handler->destroyed = [&] { destroyed = true; };
             return handler;
           }});
  auto& client = rig.connect({.window = 0, .opens_window = false});
  client.call("/test.T/Held", "");
  REQUIRE(rig.until([&] { return seen != nullptr; }));

  seen->send(make_reply("never read"));
  seen->finish(Status());
  CHECK_FALSE(destroyed);
  rig.settle();

  CHECK(destroyed);
}

TEST_CASE("a method may end a call before its message comes") {
  ServerRig rig;
  rig.add({"/test.T/Deny", Method::Requests::kOne, 16384, [](Call& call) {
             call.finish(Status(Code::kPermissionDenied, "no identity: 100%"));
             return std::make_unique<FunctionHandler>();
           }});
  auto& client = rig.connect();

  auto& call = finish(rig, client, client.call("/test.T/Deny", ""));

  CHECK(call.status() == number(Code::kPermissionDenied));
  CHECK(call.message() == "no identity: 100%25");
  CHECK(call.headers.at(":status") == "200");
}

TEST_CASE("a method may drop the connection in open") {
  ServerRig rig;
  rig.add({"/test.T/Drop", Method::Requests::kMany, 16384, [](Call& call) {
             call.disconnect("not who it was");
             return std::make_unique<FunctionHandler>();
           }});
  auto& client = rig.connect();
  auto stream = client.call("/test.T/Drop", "");

  CHECK(rig.until([&] { return client.closed(); }));

  CHECK(client[stream].headers.empty());
  CHECK(rig.listener().connections() == 0);
}

TEST_CASE("a call ended in on_sent ends with its message delivered") {
  ServerRig rig;
  rig.add({"/test.T/Once", Method::Requests::kOne, 16384, [](Call& call) {
             auto handler = std::make_unique<FunctionHandler>();
             handler->message = [&](std::string_view) { call.send(make_reply("once")); };
             handler->sent = [&] { call.finish(Status()); };
             return handler;
           }});
  auto& client = rig.connect();

  auto& call = finish(rig, client, client.call("/test.T/Once", ""));

  CHECK(call.messages == std::vector<std::string>{"once"});
  CHECK(call.status() == kOk);
}

TEST_CASE("the handler sees the peer and the metadata") {
  ServerRig rig;
  uid_t uid = 0;
  pid_t pid = 0;
  std::vector<std::string> marks;
  rig.add({"/test.T/Who", Method::Requests::kOne, 16384, [&](Call& call) {
             uid = call.peer()->uid();
             pid = call.peer()->pid();
             for (auto value : call.metadata().all("mark")) marks.emplace_back(value);
             call.finish(Status());
             return std::make_unique<FunctionHandler>();
           }});
  auto& client = rig.connect();

  finish(rig, client, client.call("/test.T/Who", "", {{"mark", "1"}}));

  CHECK(uid == ::geteuid());
  CHECK(pid == ::getpid());
  CHECK(marks == std::vector<std::string>{"1"});
}

TEST_CASE("metadata is not kept for the life of a call") {
  ServerRig rig;
  std::size_t kept = 99;
  rig.add({"/test.T/Late", Method::Requests::kOne, 16384, [&](Call& call) {
             auto handler = std::make_unique<FunctionHandler>();
             handler->message = [&](std::string_view) {
               kept = call.metadata().fields.size();
               call.finish(Status());
             };
             return handler;
           }});
  auto& client = rig.connect();

  finish(rig, client, client.call("/test.T/Late", "", {{"mark", "1"}}));

  CHECK(kept == 0);
}

// --- requests that are no good

TEST_CASE("an unknown method is UNIMPLEMENTED, and the connection lives on") {
  ServerRig rig;
  auto& client = rig.connect();

  auto& call = finish(rig, client, client.call("/test.T/Nope", ""));

  CHECK(call.status() == number(Code::kUnimplemented));
  CHECK(call.message() == "unknown method \"/test.T/Nope\"");
  CHECK(finish(rig, client, client.call("/test.T/Echo", "")).status() == kOk);
}

TEST_CASE("another content type gets HTTP 415 and no gRPC status") {
  ServerRig rig;
  auto& client = rig.connect();

  auto& call =
      finish(rig, client, client.call("/test.T/Echo", "", {{"content-type", "application/json"}}));

  CHECK(call.headers.at(":status") == "415");
  CHECK(call.status() == -1);
  CHECK(rig.handlers == 0);
}

TEST_CASE("another HTTP method gets 405") {
  ServerRig rig;
  auto& client = rig.connect();

  auto& call = finish(rig, client, client.call("/test.T/Echo", "", {{":method", "GET"}}));

  CHECK(call.headers.at(":status") == "405");
  CHECK(call.headers.at("allow") == "POST");
}

TEST_CASE("a compressed message is UNIMPLEMENTED and told what is accepted") {
  ServerRig rig;
  auto& client = rig.connect();
  auto stream = client.start("/test.T/Echo", {{"grpc-encoding", "gzip"}});
  client.send(stream, framed("zzz", 1), true);

  auto& call = finish(rig, client, stream);

  CHECK(call.status() == number(Code::kUnimplemented));
  CHECK(call.headers.at("grpc-accept-encoding") == "identity");
}

TEST_CASE("an oversized message is RESOURCE_EXHAUSTED as soon as its length is known") {
  ServerRig rig;
  auto& client = rig.connect();
  auto stream = client.start("/test.T/Echo");
  client.send(stream, framed(std::string(16385, 'x')).substr(0, 5));

  auto& call = finish(rig, client, stream);

  CHECK(call.status() == number(Code::kResourceExhausted));
  CHECK(call.error == NGHTTP2_NO_ERROR);
}

TEST_CASE("a message of the largest size is served, though it comes in pieces") {
  ServerRig rig;
  auto& client = rig.connect();
  std::string message(16384, 'x');
  std::string bytes = framed(message);
  auto stream = client.start("/test.T/Echo");
  for (std::size_t i = 0; i < bytes.size(); i += 1000) {
    client.send(stream, bytes.substr(i, 1000), i + 1000 >= bytes.size());
    rig.settle();
  }

  auto& call = finish(rig, client, stream);

  REQUIRE(call.messages.size() == 1);
  CHECK(call.messages[0] == "echo:" + message);
}

TEST_CASE("a second message to a method that takes one is INVALID_ARGUMENT") {
  ServerRig rig;
  auto& client = rig.connect();
  auto stream = client.start("/test.T/Echo");
  client.send(stream, framed("one") + framed("two"), true);

  auto& call = finish(rig, client, stream);

  CHECK(call.status() == number(Code::kInvalidArgument));
  CHECK(call.messages.empty());
}

TEST_CASE("the end without a message is INVALID_ARGUMENT") {
  ServerRig rig;
  auto& client = rig.connect();
  auto stream = client.start("/test.T/Echo");
  client.send(stream, "", true);

  CHECK(finish(rig, client, stream).status() == number(Code::kInvalidArgument));
}

TEST_CASE("the end within a message is INTERNAL") {
  for (const char* path : {"/test.T/Echo", "/test.T/Chat"}) {
    ServerRig rig;
    auto& client = rig.connect();
    auto stream = client.start(path);
    client.send(stream, framed("hello").substr(0, 7), true);

    CHECK(finish(rig, client, stream).status() == number(Code::kInternal));
  }
}

TEST_CASE("headers over the bound are RESOURCE_EXHAUSTED, and the connection lives on") {
  ServerRig rig;
  auto& client = rig.connect();

  auto& call =
      finish(rig, client, client.call("/test.T/Echo", "", {{"big", std::string(20000, 'x')}}));

  CHECK(call.status() == number(Code::kResourceExhausted));
  CHECK(finish(rig, client, client.call("/test.T/Echo", "")).status() == kOk);
}

// --- deadlines, cancellation

TEST_CASE("a call that takes too long is DEADLINE_EXCEEDED") {
  ServerRig rig;
  auto& client = rig.connect();
  auto stream = client.call("/test.T/Watch", "", {{"grpc-timeout", "20m"}});

  auto& call = finish(rig, client, stream);

  CHECK(call.status() == number(Code::kDeadlineExceeded));
  CHECK(rig.handlers == 0);
}

TEST_CASE("at its deadline a call whose message is stuck is reset") {
  ServerRig rig;
  auto& client = rig.connect({.window = 3, .opens_window = false});
  auto stream = client.call("/test.T/Watch", "", {{"grpc-timeout", "50m"}});
  REQUIRE(rig.until([&] { return rig.watchers() == 1; }));
  rig.push("too long for the window");

  auto& call = finish(rig, client, stream);

  CHECK(call.error == NGHTTP2_CANCEL);
  CHECK(rig.handlers == 0);
}

TEST_CASE("a malformed timeout is INVALID_ARGUMENT") {
  ServerRig rig;
  auto& client = rig.connect();

  auto stream = client.call("/test.T/Echo", "", {{"grpc-timeout", "soon"}});

  CHECK(finish(rig, client, stream).status() == number(Code::kInvalidArgument));
}

TEST_CASE("a cancelled call loses its handler, its connection stays") {
  ServerRig rig;
  auto& client = rig.connect();
  auto stream = client.call("/test.T/Watch", "");
  REQUIRE(rig.until([&] { return rig.watchers() == 1; }));

  client.cancel(stream);

  CHECK(rig.until([&] { return rig.handlers == 0; }));
  CHECK(finish(rig, client, client.call("/test.T/Echo", "")).status() == kOk);
}

TEST_CASE("a client that goes away takes its calls with it") {
  ServerRig rig;
  auto& client = rig.connect();
  client.call("/test.T/Watch", "");
  client.start("/test.T/Mute");
  REQUIRE(rig.until([&] { return rig.handlers == 2; }));

  client.socket().close();

  CHECK(rig.until([&] { return rig.listener().connections() == 0; }));
  CHECK(rig.handlers == 0);
}

TEST_CASE("the 101st stream is refused, as one that may be tried again") {
  ServerRig rig;
  auto& client = rig.connect();
  std::vector<std::int32_t> streams;
  streams.reserve(101);
  for (int i = 0; i < 101; ++i) streams.push_back(client.call("/test.T/Watch", ""));

  auto& call = finish(rig, client, streams.back());

  CHECK(call.error == NGHTTP2_REFUSED_STREAM);
  CHECK(rig.until([&] { return rig.watchers() == 100; }));
}

TEST_CASE("new calls are refused while too much is buffered, and served again after") {
  Limits limits;
  limits.buffered_bytes = 4 * 20000;
  ServerRig rig(limits);
  auto& hog = rig.connect();
  std::vector<std::int32_t> halves;
  for (int i = 0; i < 2; ++i) {
    halves.push_back(hog.start("/test.T/Mute"));
    hog.send(halves.back(), framed(std::string(16000, 'x')).substr(0, 12000));
  }
  rig.settle();
  auto& client = rig.connect();
  CHECK(finish(rig, client, client.call("/test.T/Echo", "")).status() ==
        number(Code::kResourceExhausted));

  for (auto stream : halves) hog.cancel(stream);
  rig.settle();

  CHECK(finish(rig, client, client.call("/test.T/Echo", "")).status() == kOk);
}

TEST_CASE("what a handler keeps for its client counts as buffered, and no more of it is taken") {
  struct Keeper : CallHandler {
    void on_message(std::string_view message) override { kept += message; }
    std::size_t held() const override { return kept.size(); }
    std::string kept;
  };
  Limits limits;
  limits.buffered_bytes = 4 * 20000;
  ServerRig rig(limits);
  rig.add({.path = "/test.T/Keep", .requests = Method::Requests::kMany, .open = [](Call&) {
             return std::make_unique<Keeper>();
           }});
  auto& hog = rig.connect();
  auto stream = hog.start("/test.T/Keep");
  for (int i = 0; i < 2; ++i) hog.send(stream, framed(std::string(12000, 'x')));
  rig.settle();
  auto& client = rig.connect();
  CHECK(finish(rig, client, client.call("/test.T/Echo", "")).status() ==
        number(Code::kResourceExhausted));

  hog.send(stream, framed("y"));

  CHECK(finish(rig, hog, stream).status() == number(Code::kResourceExhausted));
  CHECK(finish(rig, client, client.call("/test.T/Echo", "")).status() == kOk);
}

}  // namespace
}  // namespace nodepilot
