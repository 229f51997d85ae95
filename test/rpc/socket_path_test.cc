#include "sds/rpc/socket_path.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>

#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

namespace fs = std::filesystem;

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
  CHECK(claimed->is_ours());
}

TEST_CASE("a path in use is refused, and its server stays untouched") {
  TemporaryDirectory directory;
  fs::path path = directory / "agent.sock";
  auto first = SocketPath::claim(path, 0600);
  auto socket = first->listen();

  CHECK(refusal(path) ==
        "another nodepilot serves " + path.string() + " (lock " + path.string() + ".lock is held)");

  CHECK(first->is_ours());
  CHECK(accepts(path));
}

TEST_CASE("the socket and the leftovers of a crashed run are replaced") {
  TemporaryDirectory directory;
  fs::path path = directory / "agent.sock";
  for (const char* name : {"agent.sock", "agent.sock.new"}) {
    Fd dead(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    (directory / name).native().copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::bind(dead.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
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

TEST_CASE("somebody else's socket at our path is left alone") {
  TemporaryDirectory directory;
  fs::path path = directory / "agent.sock";
  {
    auto claimed = SocketPath::claim(path, 0600);
    auto socket = claimed->listen();
    fs::remove(path);
    Fd other(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.native().copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::bind(other.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);

    CHECK_FALSE(claimed->is_ours());
  }

  CHECK(fs::exists(path));
}

TEST_CASE("a path that was removed can be taken back") {
  TemporaryDirectory directory;
  fs::path path = directory / "agent.sock";
  auto claimed = SocketPath::claim(path, 0600);
  auto first = claimed->listen();
  fs::remove(path);
  CHECK_FALSE(claimed->is_ours());

  auto second = claimed->listen();

  CHECK(claimed->is_ours());
  CHECK(accepts(path));
}

TEST_CASE("a missing directory is refused with the command that mends it") {
  TemporaryDirectory directory;

  CHECK(refusal(directory / "no" / "agent.sock").find("mkdir -m 0755 ") != std::string::npos);
}

TEST_CASE("a directory that is a symlink is refused") {
  TemporaryDirectory directory;
  fs::create_directory(directory / "real");
  fs::create_directory_symlink(directory / "real", directory / "link");

  CHECK(refusal(directory / "link" / "agent.sock").find("is a symlink") != std::string::npos);
}

TEST_CASE("a directory that others may write is refused") {
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

}  // namespace
}  // namespace nodepilot
