#include "attest/peer.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/attest/client_process.h"

using namespace nodepilot;

TEST_CASE("a peer is known by pid, ids, executable and cgroup") {
  ClientProcess client;
  struct stat exe {};
  REQUIRE(::stat("/proc/self/exe", &exe) == 0);

  auto peer = Peer::of_socket(client.socket());

  REQUIRE(peer);
  CHECK((*peer)->pid() == client.pid());
  CHECK((*peer)->uid() == ::geteuid());
  CHECK((*peer)->gid() == ::getegid());
  CHECK((*peer)->facts().executable == FileId{exe.st_dev, exe.st_ino});
  CHECK_FALSE((*peer)->facts().cgroup.empty());
  CHECK((*peer)->alive());
  CHECK((*peer)->check());
}

TEST_CASE("a peer that exited is not alive and fails its check") {
  ClientProcess client;
  auto peer = Peer::of_socket(client.socket());
  REQUIRE(peer);

  client.exit();

  CHECK_FALSE((*peer)->alive());
  auto checked = (*peer)->check();
  REQUIRE_FALSE(checked);
  CHECK(checked.error().code == Code::kUnavailable);
  CHECK(checked.error().message.ends_with("has exited"));
}

TEST_CASE("a child that keeps the connection open does not stand in for the peer") {
  ClientProcess client(/*heir=*/true);
  auto peer = Peer::of_socket(client.socket());
  REQUIRE(peer);

  client.exit();
  client.reap();

  CHECK_FALSE((*peer)->alive());
  CHECK((*peer)->check().error().code == Code::kUnavailable);
}

TEST_CASE(
    "fault 39: a peer that was gone before it was looked at is refused, whoever has its pid") {
  ClientProcess client(/*heir=*/true);
  client.exit();
  client.reap();

  auto peer = Peer::of_socket(client.socket());

  REQUIRE_FALSE(peer);
  CHECK(peer.error().code == Code::kUnavailable);
}

TEST_CASE("fault 42: a zombie whose child keeps the connection open is refused") {
  ClientProcess client(/*heir=*/true);
  client.exit();

  auto peer = Peer::of_socket(client.socket());

  REQUIRE_FALSE(peer);
  CHECK(peer.error().code == Code::kUnavailable);
  CHECK(peer.error().message.ends_with("has exited"));
}

TEST_CASE("fault 42: a peer without its main thread is refused, though it lives") {
  ClientProcess client;
  auto peer = Peer::of_socket(client.socket());
  REQUIRE(peer);

  client.lose_main_thread();

  CHECK((*peer)->alive());
  for (const auto& refused : {(*peer)->check().error(), Peer::of_socket(client.socket()).error(),
                              Peer::of_process(client.pid()).error()}) {
    CHECK(refused.code == Code::kUnavailable);
    CHECK(refused.message.ends_with("its main thread has exited"));
  }
}

TEST_CASE("fault 42: so it is where its executable may not be looked at") {
  if (::geteuid() != 0) return;  // we may look at all that we can start
  ClientProcess client;
  client.lose_main_thread();

  pid_t other = ::fork();
  if (other == 0) {
    auto peer = ::setuid(12345) == 0 ? Peer::of_process(client.pid()) : nullptr;
    ::_exit(!peer && peer.error().message.ends_with("its main thread has exited") ? 0 : 1);
  }

  int status = -1;
  ::waitpid(other, &status, 0);
  CHECK(status == 0);
}

TEST_CASE("fault 40: a peer that runs another program is another workload") {
  ClientProcess client;
  auto peer = Peer::of_socket(client.socket());
  REQUIRE(peer);

  client.exec("/bin/cat");

  CHECK((*peer)->alive());
  auto checked = (*peer)->check();
  REQUIRE_FALSE(checked);
  CHECK(checked.error().code == Code::kUnavailable);
  CHECK(checked.error().message.find("its executable changed") != std::string::npos);
}

TEST_CASE("fault 42: a socket whose peer has no pid here has no peer") {
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));

  auto peer = Peer::of_socket(socket.get());

  REQUIRE_FALSE(peer);
  CHECK(peer.error().code == Code::kUnavailable);
  CHECK(peer.error().message.starts_with("peer process 0: is outside our pid namespace"));
}

TEST_CASE("what is no socket has no peer") {
  auto peer = Peer::of_socket(-1);

  REQUIRE_FALSE(peer);
  CHECK(peer.error().code == Code::kUnavailable);
}

TEST_CASE("the process that has a pid is known like one that connected") {
  ClientProcess client;
  auto connected = Peer::of_socket(client.socket());
  REQUIRE(connected);

  auto named = Peer::of_process(client.pid());

  REQUIRE(named);
  CHECK((*named)->pid() == client.pid());
  CHECK((*named)->uid() == (*connected)->uid());
  CHECK((*named)->facts().executable == (*connected)->facts().executable);
  CHECK((*named)->facts().cgroup == (*connected)->facts().cgroup);
  CHECK((*named)->check());
}

TEST_CASE("a pid that nobody has, or only a zombie, names no process") {
  ClientProcess client;
  client.exit();
  CHECK(Peer::of_process(client.pid()).error().message.find("has exited") != std::string::npos);
  pid_t pid = client.pid();
  client.reap();

  CHECK(Peer::of_process(pid).error().code == Code::kNotFound);
  CHECK(Peer::of_process(0).error().code == Code::kInvalidArgument);
  CHECK(Peer::of_process(-1).error().code == Code::kInvalidArgument);
}
