#include "sds/rpc/socket_io.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>

#include "agent/base/fd.h"

namespace nodepilot {
namespace {

struct Pair {
  Pair() {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    ours.reset(ends[0]);
    theirs.reset(ends[1]);
    int on = 1;
    REQUIRE(::setsockopt(ours.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
  }

  Fd ours;
  Fd theirs;
  std::array<char, 100> space{};
};

TEST_CASE("what has come is told with its sender, as much as there is space for") {
  Pair pair;
  std::string sent(150, 'x');
  REQUIRE(::write(pair.theirs.get(), sent.data(), sent.size()) == 150);

  Received first = receive(pair.ours.get(), pair.space);
  Received rest = receive(pair.ours.get(), pair.space);

  CHECK(first.bytes == std::string(100, 'x'));
  CHECK(rest.bytes == std::string(50, 'x'));
  CHECK(first.sender == ::getpid());
  CHECK_FALSE(first.gone);
}

TEST_CASE("nothing has come yet, or never will") {
  Pair pair;

  Received early = receive(pair.ours.get(), pair.space);
  pair.theirs.reset();
  Received late = receive(pair.ours.get(), pair.space);

  CHECK(early.bytes.empty());
  CHECK_FALSE(early.gone);
  CHECK(late.bytes.empty());
  CHECK(late.gone);
}

TEST_CASE("a socket takes what it has room for, then nothing, and never blocks") {
  Pair pair;
  OutputQueue output;
  output.append(std::make_shared<const std::string>(1'000'000, 'x'), 0, 1'000'000, 1);

  auto taken = send(pair.ours.get(), output);
  REQUIRE(taken);
  output.consume(*taken);
  while (taken && *taken > 0) {
    taken = send(pair.ours.get(), output);
    output.consume(taken.value_or(0));
  }

  CHECK(taken == 0);
  CHECK(output.size() > 0);
  CHECK(output.size() < 1'000'000);
}

TEST_CASE("a client that is gone takes nothing, and costs no signal") {
  Pair pair;
  OutputQueue output;
  output.append("bytes");
  pair.theirs.reset();

  CHECK_FALSE(send(pair.ours.get(), output));
}

}  // namespace
}  // namespace nodepilot
