#include "agent/base/fd.h"

#include <doctest/doctest.h>
#include <fcntl.h>

#include <utility>

using namespace nodepilot;

namespace {

int open_something() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }
bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

}  // namespace

TEST_CASE("a descriptor is closed with its owner") {
  int number = open_something();
  {
    Fd fd(number);
    CHECK(fd);
    CHECK(fd.get() == number);
    CHECK(is_open(number));
  }
  CHECK_FALSE(is_open(number));
}

TEST_CASE("an owner of nothing is false") {
  CHECK_FALSE(Fd());
  CHECK_FALSE(Fd(-1));
}

TEST_CASE("moving an owner moves the descriptor and closes the one it replaces") {
  int first = open_something();
  int second = open_something();
  Fd a(first);
  Fd b(second);

  b = std::move(a);

  CHECK(b.get() == first);
  CHECK(is_open(first));
  CHECK_FALSE(is_open(second));
  Fd c(std::move(b));
  CHECK(c.get() == first);
  CHECK(is_open(first));
}

TEST_CASE("an owner moved to itself keeps its descriptor") {
  Fd fd(open_something());
  Fd& same = fd;

  fd = std::move(same);

  CHECK(fd);
  CHECK(is_open(fd.get()));
}

TEST_CASE("a released descriptor stays open") {
  Fd fd(open_something());

  Fd other(fd.release());

  CHECK_FALSE(fd);
  CHECK(is_open(other.get()));
}
