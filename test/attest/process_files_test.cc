#include "attest/process_files.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>

#include "test/attest/client_process.h"
#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

std::string text_of(const SecretBytes& bytes) { return {bytes.begin(), bytes.end()}; }

struct Rig {
  ClientProcess client;
  std::shared_ptr<const Peer> peer = Peer::of_socket(client.socket()).value();
  TemporaryDirectory directory;
  ProcessFiles files;

  expected<SecretBytes> read(const std::filesystem::path& path, std::size_t max_bytes = 100) const {
    return files.read(peer, path, max_bytes);
  }
};

TEST_CASE("a file of a process is read by the path that the process has for it") {
  Rig rig;
  auto path = rig.directory.write("token", "abc");

  auto bytes = rig.read(path);

  REQUIRE(bytes);
  CHECK(text_of(*bytes) == "abc");
}

TEST_CASE("links are followed below the root of the process") {
  Rig rig;
  auto path = rig.directory.write("..data/token", "abc");
  std::filesystem::create_symlink(path, rig.directory / "absolute");
  std::filesystem::create_symlink("..data/token", rig.directory / "relative");

  CHECK(text_of(rig.read(rig.directory / "absolute").value()) == "abc");
  CHECK(text_of(rig.read(rig.directory / "relative").value()) == "abc");
}

TEST_CASE("magic links lead nowhere") {
  Rig rig;

  CHECK_FALSE(rig.read("/proc/self/exe"));
}

TEST_CASE("what is no file, missing or too large is refused by name") {
  Rig rig;
  rig.directory.write("large", std::string(101, 'x'));
  ::mkfifo((rig.directory / "fifo").c_str(), 0600);

  CHECK(rig.read(rig.directory / "missing").error().code == Code::kNotFound);
  CHECK(rig.read(rig.directory / "large").error().code == Code::kResourceExhausted);
  CHECK(rig.read(rig.directory / "fifo").error().code == Code::kFailedPrecondition);
  CHECK(rig.read(rig.directory / "fifo").error().message.find("fifo") != std::string::npos);
}

TEST_CASE("the files of a process that is gone or another one now are not read") {
  Rig rig;
  auto path = rig.directory.write("token", "abc");

  SUBCASE("exited") { rig.client.exit(); }
  SUBCASE("reaped") {
    rig.client.exit();
    rig.client.reap();
  }
  SUBCASE("another program") { rig.client.exec("/bin/cat"); }

  CHECK_FALSE(rig.read(path));
}

TEST_CASE("beyond what may hang, no read is begun") {
  Rig rig;
  auto path = rig.directory.write("token", "abc");
  ProcessFiles none(std::chrono::seconds(2), 0);

  auto refused = none.read(rig.peer, path, 100);

  CHECK(refused.error().code == Code::kResourceExhausted);
  CHECK(rig.read(path));
  CHECK(rig.read(path));
}

}  // namespace
}  // namespace nodepilot
