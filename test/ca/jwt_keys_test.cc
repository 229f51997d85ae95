#include "rotation/ca/jwt_keys.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "test/pki/test_ca.h"
#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using test::noon;

std::string read(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

struct Rig {
  TemporaryDirectory directory;
  fs::path file = directory / "jwt.json";

  expected<std::unique_ptr<JwtKeys>> open(Time now = noon()) const {
    return JwtKeys::open(file, {}, now);
  }
};

}  // namespace

TEST_CASE("the first start makes a key in a file that only we can read") {
  Rig rig;

  auto keys = rig.open().value();

  CHECK(keys->authorities(noon()) == std::vector{keys->signer(noon()).authority()});
  struct stat status {};
  REQUIRE(::stat(rig.file.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0600);
}

TEST_CASE("two that share the file agree on each new key, whichever turns first") {
  Rig rig;
  auto first = rig.open().value();
  auto second = rig.open().value();

  for (Duration later = 0h; later < 100h; later += 6h) {
    auto& earlier = later % 12h == 0h ? first : second;
    auto& other = later % 12h == 0h ? second : first;
    auto known = earlier->authorities(noon() + later);
    CHECK(other->authorities(noon() + later) == known);
  }
  CHECK(first->signer(noon() + 100h).key_id() == second->signer(noon() + 100h).key_id());
}

TEST_CASE("a restart loses no key, neither the old one nor the next") {
  Rig rig;
  auto first = rig.open().value();
  auto known = first->authorities(noon() + 18h);
  REQUIRE(known.size() == 2);

  auto second = rig.open(noon() + 30h).value();

  CHECK(second->authorities(noon() + 30h) == known);
  CHECK(second->signer(noon() + 30h).authority() == known[1]);
}

TEST_CASE("a key that cannot be written is not published, and the old ones serve on") {
  Rig rig;
  auto keys = rig.open().value();
  auto known = keys->authorities(noon());
  fs::rename(rig.directory.path(), rig.directory.path().string() + ".away");

  CHECK(keys->authorities(noon() + 18h) == known);
  CHECK(keys->signer(noon() + 48h).authority() == known[0]);
  fs::rename(rig.directory.path().string() + ".away", rig.directory.path());

  CHECK(keys->authorities(noon() + 48h).size() == 2);
  // The notice is counted from the day on which it could be given.
  CHECK(keys->signer(noon() + 54h - 1s).authority() == known[0]);
  CHECK_FALSE(keys->signer(noon() + 54h).authority() == known[0]);
}

TEST_CASE("nothing is written while nothing changes") {
  Rig rig;
  auto keys = rig.open().value();
  fs::remove(rig.file);

  keys->authorities(noon() + 17h);

  CHECK_FALSE(fs::exists(rig.file));
}

TEST_CASE("a damaged file is refused by name with what mends it, and stays") {
  Rig rig;
  rig.open().value();
  const std::string text = read(rig.file);
  for (const std::string& bad :
       {std::string(), std::string("{}"), text.substr(0, 100), text + "x"}) {
    std::ofstream(rig.file) << bad;

    auto keys = rig.open();

    REQUIRE_FALSE(keys.has_value());
    CHECK(keys.error().message.find(rig.file.string()) != std::string::npos);
    CHECK(keys.error().message.find("move it away") != std::string::npos);
    CHECK(read(rig.file) == bad);
  }
}

TEST_CASE("a file that others can read is refused") {
  Rig rig;
  rig.open().value();
  ::chmod(rig.file.c_str(), 0640);

  auto keys = rig.open();

  REQUIRE_FALSE(keys.has_value());
  CHECK(keys.error().message.find("chmod 0600 " + rig.file.string()) != std::string::npos);
}

TEST_CASE("several threads that turn the ring at once agree on one new key") {
  Rig rig;
  auto keys = rig.open().value();
  std::array<std::vector<JwtAuthority>, 4> known;

  std::vector<std::thread> threads;
  threads.reserve(known.size());
  for (auto& seen : known) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) seen = keys->authorities(noon() + 18h);
      keys->signer(noon() + 18h);
    });
  }
  for (std::thread& thread : threads) thread.join();

  CHECK(known[0].size() == 2);
  for (const auto& seen : known) CHECK(seen == known[0]);
}

}  // namespace nodepilot
