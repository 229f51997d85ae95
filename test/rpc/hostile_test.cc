// What a local process may try against the socket that every process can reach.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <optional>
#include <thread>

#include "test/rpc/server_rig.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kEnhanceYourCalm = 11;

// The error of the GOAWAY among the frames in `bytes`, if there is one.
std::optional<std::uint32_t> goaway_in(std::string_view bytes) {
  auto number = [&](std::size_t at, int size) {
    std::uint32_t value = 0;
    for (int i = 0; i < size; ++i) {
      value = value << 8 | static_cast<unsigned char>(bytes[at + static_cast<std::size_t>(i)]);
    }
    return value;
  };
  while (bytes.size() >= 9) {
    std::size_t length = number(0, 3);
    if (bytes[3] == 7) return number(13, 4);
    bytes.remove_prefix(std::min(bytes.size(), 9 + length));
  }
  return std::nullopt;
}

void check_honest_client_is_served(ServerRig& rig) {
  auto& honest = rig.connect();
  auto stream = honest.call("/test.T/Echo", "still there?");
  CHECK(rig.until([&] { return honest[stream].closed; }));
  CHECK(honest[stream].messages == std::vector<std::string>{"echo:still there?"});
}

// Writes `bytes` after the greeting; checks that the server hangs up, not how.
void check_hangs_up_on(const std::string& bytes) {
  ServerRig rig;
  auto& client = rig.raw();
  client.write(bytes);
  CHECK(rig.until([&] { return client.closed(); }));
  CHECK(rig.listener().connections() == 0);
  check_honest_client_is_served(rig);
}

TEST_CASE("HTTP/1, TLS and noise are hung up on") {
  check_hangs_up_on("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  check_hangs_up_on(std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11) +
                    std::string(506, '\x5a'));
  std::string noise;
  std::uint32_t state = 12345;
  for (int i = 0; i < 5000; ++i) {
    state = state * 1664525 + 1013904223;
    noise += static_cast<char>(state >> 24);
  }
  check_hangs_up_on(noise);
  check_hangs_up_on(greeting() + noise);
  check_hangs_up_on(std::string(kPreface) + frame(kPing, 0, 0, "12345678"));
}

TEST_CASE("a client that says nothing is hung up on") {
  for (std::string_view begun : {std::string_view(), kPreface.substr(0, 10), kPreface}) {
    Limits limits;
    limits.preface_timeout = 20ms;
    ServerRig rig(limits);
    auto& client = rig.raw();
    client.write(begun);

    CHECK(rig.until([&] { return client.closed(); }));
  }
}

TEST_CASE("a client that has greeted may be idle") {
  Limits limits;
  limits.preface_timeout = 10ms;
  limits.half_sent_timeout = 10ms;
  ServerRig rig(limits);
  auto& idle = rig.connect();
  auto& other = rig.raw();

  CHECK(rig.until([&] { return other.closed(); }));
  rig.settle();

  CHECK_FALSE(idle.closed());
}

TEST_CASE("a client that falls silent within a frame is hung up on") {
  for (const std::string& half :
       {std::string("\0\0", 2), frame(kPing, 0, 0, "12345678").substr(0, 12),
        frame(kHeaders, 0, 1, call_headers("/test.T/Echo")).substr(0, 20)}) {
    Limits limits;
    limits.half_sent_timeout = 20ms;
    ServerRig rig(limits);
    auto& client = rig.raw();
    client.write(greeting() + half);

    CHECK(rig.until([&] { return client.closed(); }));
  }
}

TEST_CASE("a client that falls silent within a message is hung up on") {
  Limits limits;
  limits.half_sent_timeout = 20ms;
  ServerRig rig(limits);
  auto& client = rig.connect();
  auto stream = client.start("/test.T/Mute");
  client.send(stream, framed("hello").substr(0, 7));

  CHECK(rig.until([&] { return client.closed(); }));
}

TEST_CASE("a flood of PINGs is cut off with ENHANCE_YOUR_CALM") {
  ServerRig rig;
  auto& client = rig.connect();
  rig.settle();

  for (int i = 0; i < 2000; ++i) client.ping();

  CHECK(rig.until([&] { return client.closed(); }));
  CHECK(client.goaway() == kEnhanceYourCalm);
  check_honest_client_is_served(rig);
}

TEST_CASE("a client that pings within its budget is served") {
  ServerRig rig;
  auto& client = rig.connect();

  for (int i = 0; i < 90; ++i) client.ping();

  CHECK(rig.until([&] { return client.pongs() == 90; }));
  CHECK_FALSE(client.closed());
}

TEST_CASE("floods of frames that ask for nothing are cut off") {
  std::string open = frame(kHeaders, kEndHeaders, 1, call_headers("/test.T/Mute"));
  for (const std::string& useless :
       {frame(kSettings, 0, 0), frame(kPriority, 0, 3, std::string("\0\0\0\0\7", 5)),
        frame(kData, 0, 1), frame(kData, 8, 1, std::string("\3\0\0\0", 4)),
        frame(kPing, 1, 0, "unasked!")}) {
    ServerRig rig;
    auto& client = rig.raw();
    client.write(greeting() + open);
    for (int i = 0; i < 1000; ++i) client.write(useless);

    CHECK(rig.until([&] { return client.closed(); }));
    CHECK(goaway_in(client.received()) == kEnhanceYourCalm);
    check_honest_client_is_served(rig);
  }
}

TEST_CASE("rapid resets are cut off, after a bounded number of calls") {
  ServerRig rig;
  int opened = 0;
  rig.add({"/test.T/Count", Method::Requests::kMany, 100, [&](Call&) {
             ++opened;
             return std::make_unique<FunctionHandler>();
           }});
  auto& client = rig.raw();
  client.write(greeting());
  std::string headers = call_headers("/test.T/Count");
  for (int i = 0; i < 20000; ++i) {
    client.write(frame(kHeaders, kEndHeaders, 2 * i + 1, headers));
    client.write(frame(kReset, 0, 2 * i + 1, std::string("\0\0\0\10", 4)));
  }

  CHECK(rig.until([&] { return client.closed(); }));

  CHECK(opened <= 1100);
  CHECK(goaway_in(client.received()) == kEnhanceYourCalm);
  check_honest_client_is_served(rig);
}

TEST_CASE("streams that make the server reset them are slowed down, not piled up") {
  Limits limits;
  limits.new_streams_per_second = 500;
  ServerRig rig(limits);
  auto& client = rig.raw();
  client.write(greeting());
  std::string headers = call_headers("/test.T/Mute");
  for (int i = 0; i < 50000; ++i) {
    client.write(frame(kHeaders, kEndHeaders, 2 * i + 1, headers));
    client.write(frame(kWindowUpdate, 0, 2 * i + 1, std::string("\x7f\xff\xff\xff", 4)));
  }
  std::size_t all = client.unsent();

  rig.settle();
  check_honest_client_is_served(rig);

  CHECK_FALSE(client.closed());
  CHECK(client.unsent() > all / 2);
  CHECK(rig.handlers == 0);
}

TEST_CASE("a client that opens streams too fast is delayed, and then served in full") {
  Limits limits;
  limits.new_streams_per_second = 200;
  ServerRig rig(limits);
  auto& client = rig.connect();
  std::vector<std::int32_t> streams;
  auto start = std::chrono::steady_clock::now();

  // A round at a time: more at once than the concurrent streams would be refused.
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 80; ++i) streams.push_back(client.call("/test.T/Echo", ""));
    CHECK(rig.until([&] { return client[streams.back()].closed; }));
  }

  for (auto stream : streams) CHECK(client[stream].status() == 0);
  CHECK(std::chrono::steady_clock::now() - start >= 150ms);
}

TEST_CASE("a flood of messages in one call is slowed down") {
  ServerRig rig;
  auto& client = rig.raw();
  std::string messages;
  for (int i = 0; i < 1000; ++i) messages += framed("");
  client.write(greeting() + frame(kHeaders, kEndHeaders, 1, call_headers("/test.T/Mute")));
  for (int i = 0; i < 100; ++i) client.write(frame(kData, 0, 1, messages));

  rig.settle();

  CHECK(rig.heard.size() >= 1000);
  CHECK(rig.heard.size() < 10000);
  CHECK_FALSE(client.closed());
}

TEST_CASE("streams beyond the limit are refused to a client that never ACKs SETTINGS") {
  ServerRig rig;
  auto& client = rig.raw();
  client.write(greeting());
  std::string headers = call_headers("/test.T/Mute");
  for (int i = 0; i < 20000; ++i) client.write(frame(kHeaders, kEndHeaders, 2 * i + 1, headers));

  rig.settle();

  CHECK(rig.handlers == 100);
  CHECK(client.unsent() > 0);  // and slowed down
  CHECK_FALSE(client.closed());
}

TEST_CASE("endless headers are cut off") {
  ServerRig rig;
  auto& client = rig.raw();
  client.write(greeting() + frame(kHeaders, 0, 1, call_headers("/test.T/Echo")));
  std::string more = literal("x", std::string(16000, 'y'));
  for (int i = 0; i < 100; ++i) client.write(frame(kContinuation, 0, 1, more));

  CHECK(rig.until([&] { return client.closed(); }));
  check_honest_client_is_served(rig);
}

TEST_CASE("a compressed header block that unfolds to megabytes is given up early") {
  ServerRig rig;
  auto& client = rig.raw();
  // One large field into the dynamic table, then a reference to it for every byte.
  std::string stored = literal("x", std::string(4000, 'y'));
  stored[0] = '\x40';
  std::string block = call_headers("/test.T/Echo") + stored + std::string(10000, '\xbe');
  client.write(greeting() + frame(kHeaders, kEndHeaders, 1, block));
  rig.settle();

  CHECK(rig.handlers == 0);
  CHECK(client.received().find(frame(kReset, 0, 1, std::string("\0\0\0\2", 4))) !=
        std::string::npos);
  CHECK_FALSE(client.closed());
}

TEST_CASE("a client that takes no bytes is hung up on") {
  Limits limits;
  limits.write_stall_timeout = 30ms;
  ServerRig rig(limits);
  auto& client = rig.connect({.window = 1 << 30});
  client.open_window(0, 1 << 30);
  client.call("/test.T/Watch", "");
  REQUIRE(rig.until([&] { return rig.watchers() == 1; }));
  client.socket().stop_reading();

  rig.push(std::string(5'000'000, 'x'));

  CHECK(rig.until([&] { return rig.listener().connections() == 0; }));
  check_honest_client_is_served(rig);
}

TEST_CASE("a client that only keeps its windows shut is left in peace") {
  Limits limits;
  limits.write_stall_timeout = 10ms;
  limits.preface_timeout = 30ms;
  ServerRig rig(limits);
  auto& client = rig.connect({.window = 5, .opens_window = false});
  client.call("/test.T/Watch", "");
  REQUIRE(rig.until([&] { return rig.watchers() == 1; }));
  rig.push("more than five bytes");
  auto& silent = rig.raw();

  CHECK(rig.until([&] { return silent.closed(); }));  // so much for the time that passes

  CHECK(rig.listener().connections() == 1);
}

TEST_CASE("requests of a client that reads no answers pile up only so far") {
  Limits limits;
  limits.new_streams_per_second = 1000000;
  ServerRig rig(limits);
  auto& client = rig.raw();
  client.stop_reading();
  client.write(greeting());
  std::string headers = call_headers("/test.T/" + std::string(150, 'n'));  // unknown
  for (int i = 0; i < 50000; ++i) {
    client.write(frame(kHeaders, kEndHeaders | kEndStream, 2 * i + 1, headers));
  }
  rig.settle();

  CHECK(client.unsent() > 0);
  check_honest_client_is_served(rig);
}

TEST_CASE("fault 41: bytes from another process than the one that connected end the connection") {
  ServerRig rig;
  auto& client = rig.connect();
  client.call("/test.T/Watch", "");
  REQUIRE(rig.until([&] { return rig.watchers() == 1; }));

  pid_t child = ::fork();
  if (child == 0) {
    std::string ping = frame(kPing, 0, 0, "12345678");
    ::_exit(::send(client.socket().fd(), ping.data(), ping.size(), 0) > 0 ? 0 : 1);
  }
  ::waitpid(child, nullptr, 0);

  CHECK(rig.until([&] { return client.closed(); }));
  CHECK(rig.handlers == 0);
  CHECK(client.pongs() == 0);
}

TEST_CASE(
    "fault 41: a connection ends with the process that made it, though its child keeps the "
    "socket") {
  ServerRig rig;
  rig.start();
  int parent_lives[2];
  int child_lives[2];
  REQUIRE(::pipe(parent_lives) == 0);
  REQUIRE(::pipe(child_lives) == 0);
  // Returns when the other end of `pipe` is closed.
  auto wait_for = [&](const int* pipe) {
    ::close(parent_lives[1]);
    ::close(child_lives[1]);
    char byte = 0;
    [[maybe_unused]] ssize_t n = ::read(pipe[0], &byte, 1);
  };

  pid_t parent = ::fork();
  if (parent == 0) {
    UnixClient client(rig.path());
    client.write(greeting());
    client.pump();
    wait_for(::fork() == 0 ? child_lives : parent_lives);
    ::_exit(0);
  }
  CHECK(rig.until([&] { return rig.listener().connections() == 1; }));
  rig.settle();
  CHECK(rig.listener().connections() == 1);
  ::close(parent_lives[1]);
  ::waitpid(parent, nullptr, 0);

  CHECK(rig.until([&] { return rig.listener().connections() == 0; }));
  for (int fd : {parent_lives[0], child_lives[0], child_lives[1]}) ::close(fd);
}

// A process that calls a method and becomes another program when it is told to.
class Changeling {
 public:
  Changeling(const std::filesystem::path& server, std::string_view method) {
    REQUIRE(::pipe2(until_exec_.data(), O_CLOEXEC) == 0);
    child_ = ::fork();
    if (child_ == 0) be_client(server, method);
  }
  Changeling(const Changeling&) = delete;
  Changeling& operator=(const Changeling&) = delete;
  ~Changeling() {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
    for (int fd : until_exec_) ::close(fd);
  }

  void exec() const { CHECK(::write(until_exec_[1], "x", 1) == 1); }
  bool is_another() const {
    std::error_code ignored;
    auto program =
        std::filesystem::read_symlink("/proc/" + std::to_string(child_) + "/exe", ignored);
    return program != std::filesystem::read_symlink("/proc/self/exe");
  }

 private:
  [[noreturn]] void be_client(const std::filesystem::path& server, std::string_view method) const {
    UnixClient client(server);
    ::fcntl(client.fd(), F_SETFD, 0);  // the other program gets the socket
    client.write(greeting() + frame(kHeaders, kEndHeaders, 1, call_headers(method)) +
                 frame(kData, kEndStream, 1, framed("")));
    client.pump();
    // Lives until it is served and the test ends it.
    char byte = 0;
    [[maybe_unused]] ssize_t n = ::read(until_exec_[0], &byte, 1);
    ::execl("/bin/sleep", "sleep", "10", nullptr);
    ::_exit(1);
  }

  std::array<int, 2> until_exec_{};
  pid_t child_ = 0;
};

TEST_CASE("fault 40: a key does not go to a process that has become another program") {
  ServerRig rig;
  rig.start();
  Changeling client(rig.path(), "/test.T/Watch");
  REQUIRE(rig.until([&] { return rig.watchers() == 1; }));
  rig.push("no secret");
  CHECK(rig.until([&] { return rig.sent == 1; }));
  client.exec();
  CHECK(rig.until([&] { return client.is_another(); }));

  rig.push("the key", true);

  CHECK(rig.until([&] { return rig.listener().connections() == 0; }));
  CHECK(rig.sent == 1);
}

TEST_CASE(
    "fault 40: a key does not go to a process that became another program while its call was "
    "handled") {
  ServerRig rig;
  std::optional<Changeling> client;
  bool called = false;
  bool sent = false;
  rig.add({"/test.T/Slow", Method::Requests::kOne, 16384, [&](Call& call) {
             auto handler = std::make_unique<FunctionHandler>();
             handler->message = [&](std::string_view) {
               called = true;
               client->exec();
               auto deadline = std::chrono::steady_clock::now() + 10s;
               while (!client->is_another() && std::chrono::steady_clock::now() < deadline) {
                 std::this_thread::yield();
               }
               call.send(make_reply("the key", true));
             };
             handler->sent = [&] { sent = true; };
             return handler;
           }});
  rig.start();

  client.emplace(rig.path(), "/test.T/Slow");

  CHECK(rig.until([&] { return called && rig.listener().connections() == 0; }));
  CHECK(client->is_another());
  CHECK_FALSE(sent);
}

TEST_CASE("a key goes to the process that connected") {
  ServerRig rig;
  auto& client = rig.connect();
  auto stream = client.call("/test.T/Watch", "");
  REQUIRE(rig.until([&] { return rig.watchers() == 1; }));

  rig.push("the key", true);

  CHECK(rig.until([&] { return client[stream].messages.size() == 1; }));
}

TEST_CASE("descriptors that a client passes are not taken") {
  ServerRig rig;
  auto& client = rig.raw();
  client.write(greeting());
  rig.settle();
  int passed[2];
  REQUIRE(::pipe(passed) == 0);

  std::string ping = frame(kPing, 0, 0, "12345678");
  iovec bytes = {ping.data(), ping.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* part = CMSG_FIRSTHDR(&message);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(part), &passed[1], sizeof(int));
  REQUIRE(::sendmsg(client.fd(), &message, 0) > 0);
  ::close(passed[1]);
  rig.settle();

  // The only other writing end would be with the server.
  char byte = 0;
  CHECK(::read(passed[0], &byte, 1) == 0);
  ::close(passed[0]);
}

}  // namespace
}  // namespace nodepilot
