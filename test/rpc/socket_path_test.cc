#include "sds/rpc/socket_path.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>
#include <memory>

#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

namespace fs = std::filesystem;
using Holder = SocketPath::Holder;

// A socket bound at `path`; one that nobody listens on unless told so.
Fd bound_at(const fs::path& path, bool listening = false) {
  Fd bound(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.native().copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(bound.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  if (listening) REQUIRE(::listen(bound.get(), 5) == 0);
  return bound;
}

bool has_waiting(const Fd& socket) {
  return Fd(::accept4(socket.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)).get() >= 0;
}

bool tells_senders(const Fd& socket) {
  int value = 0;
  socklen_t size = sizeof value;
  return ::getsockopt(socket.get(), SOL_SOCKET, SO_PASSCRED, &value, &size) == 0 && value == 1;
}

bool accepts(const fs::path& path) {
  Fd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.native().copy(address.sun_path, sizeof address.sun_path - 1);
  return ::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
}

mode_t mode_of(const fs::path& path) {
  struct stat info {};
  ::lstat(path.c_str(), &info);
  return info.st_mode & 07777;
}

std::string refusal(const fs::path& path) {
  auto claimed = SocketPath::claim(path, 0600);
  REQUIRE_FALSE(claimed);
  CHECK(claimed.error().code == Code::kFailedPrecondition);
  return claimed.error().message;
}

TEST_CASE("a claimed path accepts connections and has the mode asked for") {
  TemporaryDirectory directory;
  fs::path path = directory / "agent.sock";

  auto claimed = SocketPath::claim(path, 0660);
  REQUIRE(claimed);
  auto socket = claimed->listen();
  REQUIRE(socket);

  CHECK(accepts(path));
  CHECK(mode_of(path) == 0660);
  CHECK(mode_of(directory / "agent.sock.lock") == 0600);
  CHECK_FALSE(fs::exists(directory / "agent.sock.new"));
  CHECK(claimed->holder() == Holder::kUs);
}

TEST_CASE("fault 44: a path in use is refused, and its server stays untouched") {
  TemporaryDirectory directory;
  fs::path path = directory / "agent.sock";
  auto first = SocketPath::claim(path, 0600);
  auto socket = first->listen();

  CHECK(refusal(path) == "another nodepilot serves " + path.string() + " (lock " + path.string() +
                             ".lock is held): stop that one, or have this one follow it with "
                             "--take-over");

  CHECK(first->holder() == Holder::kUs);
  CHECK(accepts(path));
}

TEST_CASE("fault 43: the socket and the leftovers of a crashed run are replaced") {
  TemporaryDirectory directory;
  fs::path path = directory / "agent.sock";
  for (const char* name : {"agent.sock", "agent.sock.new"}) {
    bound_at(directory / name);
  }
  std::ofstream lock(directory / "agent.sock.lock");
  REQUIRE_FALSE(accepts(path));

  auto claimed = SocketPath::claim(path, 0600);
  REQUIRE(claimed);
  auto socket = claimed->listen();

  CHECK(accepts(path));
}

TEST_CASE("a file that is no socket is never replaced") {
  TemporaryDirectory directory;
  fs::path path = directory / "agent.sock";
  std::ofstream(path) << "precious";

  CHECK(refusal(path).find("no socket is there") != std::string::npos);

  CHECK(fs::file_size(path) == 8);
}

TEST_CASE("the path is removed with its owner, the lock is free again") {
  TemporaryDirectory directory;
  fs::path path = directory / "agent.sock";
  {
    auto claimed = SocketPath::claim(path, 0600);
    auto socket = claimed->listen();
    CHECK(fs::exists(path));
  }

  CHECK_FALSE(fs::exists(path));
  CHECK(SocketPath::claim(path, 0600));
}

TEST_CASE("fault 45: somebody else's socket at our path is left alone") {
  TemporaryDirectory directory;
  fs::path path = directory / "agent.sock";
  {
    auto claimed = SocketPath::claim(path, 0600);
    auto socket = claimed->listen();
    fs::remove(path);
    Fd other = bound_at(path);

    CHECK(claimed->holder() == Holder::kUsLost);
  }

  CHECK(fs::exists(path));
}

TEST_CASE("fault 45: a path that was removed can be taken back") {
  TemporaryDirectory directory;
  fs::path path = directory / "agent.sock";
  auto claimed = SocketPath::claim(path, 0600);
  auto first = claimed->listen();
  fs::remove(path);
  CHECK(claimed->holder() == Holder::kUsLost);

  auto second = claimed->listen();

  CHECK(claimed->holder() == Holder::kUs);
  CHECK(accepts(path));
}

TEST_CASE("fault 46: a missing directory is refused with the command that mends it") {
  TemporaryDirectory directory;

  CHECK(refusal(directory / "no" / "agent.sock").find("mkdir -m 0755 ") != std::string::npos);
}

TEST_CASE("fault 46: a directory that is a symlink is refused") {
  TemporaryDirectory directory;
  fs::create_directory(directory / "real");
  fs::create_directory_symlink(directory / "real", directory / "link");

  CHECK(refusal(directory / "link" / "agent.sock").find("is a symlink") != std::string::npos);
}

TEST_CASE("fault 46: a directory that others may write is refused") {
  for (mode_t mode : {0775, 0757, 01777}) {
    TemporaryDirectory directory;
    REQUIRE(::chmod(directory.path().c_str(), mode) == 0);

    CHECK(refusal(directory / "agent.sock").find("chmod go-w") != std::string::npos);
  }
}

TEST_CASE("a symlink in place of the lock is not followed") {
  TemporaryDirectory directory;
  fs::create_symlink(directory / "elsewhere", directory / "agent.sock.lock");

  CHECK_FALSE(SocketPath::claim(directory / "agent.sock", 0600));

  CHECK_FALSE(fs::exists(directory / "elsewhere"));
}

TEST_CASE("a path too long for the kernel is refused with the figures") {
  TemporaryDirectory directory;
  std::string longest(103 - directory.path().native().size() - 1, 'x');

  auto fits = SocketPath::claim(directory / longest, 0600);
  REQUIRE(fits);
  CHECK(fits->listen());
  CHECK(refusal(directory / (longest + "x")).find("has 104 bytes") != std::string::npos);
}

TEST_CASE("a path that names no file is refused") {
  CHECK(refusal("/tmp/").find("names no file") != std::string::npos);
}

TEST_CASE("who may follow changes nothing until it listens; then the path is its") {
  TemporaryDirectory directory;
  fs::path path = directory / "agent.sock";
  auto first = SocketPath::claim(path, 0600);
  auto old_socket = first->listen();

  auto second = SocketPath::claim(path, 0600, true);
  REQUIRE(second);
  CHECK(second->holder() == Holder::kAnother);
  CHECK(first->holder() == Holder::kUs);
  CHECK(accepts(path));
  CHECK(has_waiting(*old_socket));

  auto new_socket = second->listen();
  REQUIRE(new_socket);
  CHECK(second->holder() == Holder::kUs);
  CHECK(first->holder() == Holder::kAnother);
  CHECK(accepts(path));
  CHECK(has_waiting(*new_socket));
  CHECK_FALSE(has_waiting(*old_socket));
  CHECK_FALSE(fs::exists(directory / "agent.sock.next"));
}

TEST_CASE(
    "fault 89: who was followed neither removes the path at its end nor inherits it from a live "
    "one") {
  TemporaryDirectory directory;
  fs::path path = directory / "agent.sock";
  auto first = std::make_unique<expected<SocketPath>>(SocketPath::claim(path, 0600));
  auto old_socket = (*first)->listen();
  auto second = SocketPath::claim(path, 0600, true);
  auto new_socket = second->listen();

  CHECK_FALSE((*first)->inherit());
  first.reset();

  CHECK(second->holder() == Holder::kUs);
  CHECK(accepts(path));
}

TEST_CASE("a third that may not follow is refused by the second") {
  TemporaryDirectory directory;
  fs::path path = directory / "agent.sock";
  auto first = SocketPath::claim(path, 0600);
  auto old_socket = first->listen();
  auto second = SocketPath::claim(path, 0600, true);
  auto new_socket = second->listen();

  CHECK(refusal(path).find("another nodepilot serves") != std::string::npos);
}

TEST_CASE("of two that follow one, the later serves; none is in the other's way") {
  TemporaryDirectory directory;
  fs::path path = directory / "agent.sock";
  auto first = SocketPath::claim(path, 0600);
  auto first_socket = first->listen();
  auto second = SocketPath::claim(path, 0600, true);
  auto third = SocketPath::claim(path, 0600, true);

  auto second_socket = second->listen();
  auto third_socket = third->listen();

  CHECK(first->holder() == Holder::kAnother);
  CHECK(second->holder() == Holder::kAnother);
  CHECK(third->holder() == Holder::kUs);
  CHECK(accepts(path));
  CHECK(has_waiting(*third_socket));
}

TEST_CASE("fault 89: the path of a successor that died is inherited by who was followed") {
  TemporaryDirectory directory;
  fs::path path = directory / "agent.sock";
  auto first = SocketPath::claim(path, 0600);
  auto first_socket = first->listen();
  {
    auto second = SocketPath::claim(path, 0600, true);
    auto second_socket = second->listen();
    second->keep();  // as a crash would
  }
  CHECK_FALSE(accepts(path));

  REQUIRE(first->inherit());
  CHECK(first->holder() == Holder::kUsLost);
  auto again = first->listen();

  CHECK(first->holder() == Holder::kUs);
  CHECK(accepts(path));
}

TEST_CASE(
    "fault 89: a successor that died between its two renames leaves the path to who was followed") {
  TemporaryDirectory directory;
  fs::path path = directory / "agent.sock";
  auto first = SocketPath::claim(path, 0600);
  auto first_socket = first->listen();
  std::ofstream next(directory / "agent.sock.next");
  fs::remove(path);
  bound_at(path);

  CHECK(first->holder() == Holder::kUsLost);
  auto again = first->listen();

  REQUIRE(again);
  CHECK(first->holder() == Holder::kUs);
  CHECK(accepts(path));
}

TEST_CASE("while another is just changing the path, it is neither changed nor removed") {
  TemporaryDirectory directory;
  fs::path path = directory / "agent.sock";
  auto owner = std::make_unique<expected<SocketPath>>(SocketPath::claim(path, 0600));
  auto socket = (*owner)->listen();
  PathLock other(path);
  auto change = other.begin_change();
  REQUIRE(change);

  auto again = (*owner)->listen();
  REQUIRE_FALSE(again);
  CHECK(again.error().code == Code::kUnavailable);
  owner.reset();

  CHECK(fs::exists(path));
}

TEST_CASE("a lock that somebody removed is taken again") {
  TemporaryDirectory directory;
  fs::path path = directory / "agent.sock";
  auto claimed = SocketPath::claim(path, 0600);
  auto socket = claimed->listen();
  fs::remove(directory / "agent.sock.lock");
  CHECK(claimed->holder() == Holder::kAnother);

  CHECK(claimed->inherit());

  CHECK(claimed->holder() == Holder::kUs);
}

TEST_CASE("fault 86: an adopted socket is used as it is, and its path stays") {
  TemporaryDirectory directory;
  fs::path path = directory / "agent.sock";
  Fd passed = bound_at(path, true);
  int number = passed.get();
  {
    auto adopted = SocketPath::adopt(path, std::move(passed));
    REQUIRE(adopted);
    auto socket = adopted->listen();
    REQUIRE(socket);
    CHECK(socket->get() == number);
    CHECK(tells_senders(*socket));
    CHECK(accepts(path));
    CHECK(has_waiting(*socket));
    CHECK_FALSE(has_waiting(*socket));  // and does not block
    CHECK(refusal(path).find("another nodepilot serves") != std::string::npos);
    CHECK(adopted->holder() == Holder::kUs);
  }
  CHECK(fs::exists(path));
}

TEST_CASE("what is passed and does not listen at the path is refused by what it is") {
  TemporaryDirectory directory;
  fs::path path = directory / "agent.sock";
  auto why = [&](Fd passed) {
    auto adopted = SocketPath::adopt(path, std::move(passed));
    REQUIRE_FALSE(adopted);
    CHECK(adopted.error().code == Code::kFailedPrecondition);
    return adopted.error().message;
  };
  std::string told = "the socket that was passed for " + path.string() + " ";

  CHECK(why(Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC))) == told + "is no Unix socket");
  CHECK(why(Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))) == told + "is no Unix socket");
  CHECK(why(Fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0))) == told + "is no stream socket");
  CHECK(why(bound_at(path)) == told + "does not listen");
  fs::path other = directory / "other.sock";
  CHECK(why(bound_at(other, true)) == told + "is bound at " + other.string());
}

TEST_CASE("fault 86: a kept socket is resumed with who waits in its queue") {
  TemporaryDirectory directory;
  fs::path path = directory / "agent.sock";
  Fd stored;
  {
    auto first = SocketPath::claim(path, 0600);
    auto socket = first->listen();
    stored = Fd(::fcntl(socket->get(), F_DUPFD_CLOEXEC, 0));
    first->keep();
  }
  CHECK(accepts(path));

  auto second = SocketPath::claim(path, 0600);
  REQUIRE(second->resume(std::move(stored)));
  auto socket = second->listen();

  REQUIRE(socket);
  CHECK(second->holder() == Holder::kUs);
  CHECK(has_waiting(*socket));
}

TEST_CASE("a stored socket that the path does not lead to any more is not resumed") {
  TemporaryDirectory directory;
  fs::path path = directory / "agent.sock";
  Fd stored;
  {
    auto first = SocketPath::claim(path, 0600);
    auto socket = first->listen();
    stored = Fd(::fcntl(socket->get(), F_DUPFD_CLOEXEC, 0));
    first->keep();
  }
  {
    auto other = SocketPath::claim(path, 0600);
    auto socket = other->listen();
    other->keep();
  }

  auto second = SocketPath::claim(path, 0600);
  CHECK_FALSE(second->resume(std::move(stored)));

  auto socket = second->listen();
  REQUIRE(socket);
  CHECK(accepts(path));
}

}  // namespace
}  // namespace nodepilot
