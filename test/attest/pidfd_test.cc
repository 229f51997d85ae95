#include "attest/pidfd.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attest/proc.h"
#include "test/attest/client_process.h"

using namespace nodepilot;

TEST_CASE("a pidfd tells that its process has exited, even while it is a zombie") {
  ClientProcess client;
  auto pidfd = pidfd_of_peer(client.socket(), client.pid(), ProcDirectory(client.pid()));
  REQUIRE(pidfd);
  CHECK(is_alive(pidfd->get()));

  client.exit();

  CHECK_FALSE(is_alive(pidfd->get()));
  client.reap();
  CHECK_FALSE(is_alive(pidfd->get()));
}

TEST_CASE("something that is no descriptor is not alive") { CHECK_FALSE(is_alive(-1)); }

TEST_CASE("what a pidfd tells is what /proc tells, if the kernel can") {
  ClientProcess client;
  auto pidfd = pidfd_of_peer(client.socket(), client.pid(), ProcDirectory(client.pid()));
  REQUIRE(pidfd);

  auto info = info_of(pidfd->get());

  if (!info) return;
  auto status = ProcDirectory(client.pid()).status();
  REQUIRE(status);
  CHECK(info->uid == status->uid);
  CHECK(info->gid == status->gid);
}

TEST_CASE("a process that is gone, or was none, tells nothing") {
  ClientProcess client(/*heir=*/true);
  auto pidfd = pidfd_of_peer(client.socket(), client.pid(), ProcDirectory(client.pid()));
  REQUIRE(pidfd);
  client.exit();
  client.reap();

  CHECK_FALSE(info_of(pidfd->get()));
  CHECK_FALSE(info_of(-1));
}

TEST_CASE("a pidfd is not passed on to programs that we start") {
  ClientProcess client;

  auto from_socket = pidfd_of_peer(client.socket(), client.pid(), ProcDirectory(client.pid()));
  auto by_number = pidfd_by_number(client.socket(), client.pid(), ProcDirectory(client.pid()));

  REQUIRE(from_socket);
  REQUIRE(by_number);
  CHECK((::fcntl(from_socket->get(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK((::fcntl(by_number->get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("a socket without a peer is refused, not looked up by its pid") {
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));

  CHECK_FALSE(pidfd_of_peer(socket.get(), ::getpid(), ProcDirectory(::getpid())));
}

TEST_CASE("an error that does not mean an old kernel is final") {
  auto pidfd = pidfd_of_peer(-1, ::getpid(), ProcDirectory(::getpid()));

  REQUIRE_FALSE(pidfd);
  CHECK(pidfd.error().message == "get the pidfd of the peer: Bad file descriptor");
}

TEST_CASE("without the kernel's help a connected peer is found by its pid") {
  ClientProcess client;

  auto pidfd = pidfd_by_number(client.socket(), client.pid(), ProcDirectory(client.pid()));

  REQUIRE(pidfd);
  CHECK(is_alive(pidfd->get()));
  client.exit();
  CHECK_FALSE(is_alive(pidfd->get()));
}

TEST_CASE("a pid is not trusted once the peer has closed the connection") {
  ClientProcess client;
  client.hang_up();

  auto pidfd = pidfd_by_number(client.socket(), client.pid(), ProcDirectory(client.pid()));

  REQUIRE_FALSE(pidfd);
  CHECK(pidfd.error().message == "the peer has closed the connection");
}

TEST_CASE("two pidfds of one process have one inode, those of two processes two") {
  ClientProcess one;
  ClientProcess two;
  auto inode_of = [](const ClientProcess& client) {
    return unique_inode(
        pidfd_by_number(client.socket(), client.pid(), ProcDirectory(client.pid())).value().get());
  };

  auto first = inode_of(one);
  if (!first) return;  // an older kernel

  CHECK(inode_of(one) == first);
  CHECK(inode_of(two) != first);
}

TEST_CASE("what is no pidfd has no inode that counts") {
  Fd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));

  CHECK_FALSE(unique_inode(file.get()));
  CHECK_FALSE(unique_inode(-1));
}

TEST_CASE("a pid that nobody has any more is refused") {
  ClientProcess client(/*heir=*/true);
  pid_t pid = client.pid();
  client.exit();
  client.reap();

  CHECK_FALSE(pidfd_by_number(client.socket(), pid, ProcDirectory(pid)));
}
