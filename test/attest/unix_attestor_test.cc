#include "attest/unix_attestor.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "agent/base/sha256.h"
#include "test/attest/client_process.h"
#include "test/support/temporary_directory.h"

using namespace nodepilot;
namespace fs = std::filesystem;

namespace {

constexpr UnixAttestor::Options kWithHash = {.hash_executable = true};

// The values of the selectors whose value starts with `key`, without it.
std::vector<std::string> values(const Selectors& found, const std::string& key) {
  std::vector<std::string> result;
  for (const Selector& s : found) {
    CHECK(s.type == "unix");
    if (s.value.starts_with(key + ":")) result.push_back(s.value.substr(key.size() + 1));
  }
  return result;
}

using Values = std::vector<std::string>;

std::string hash_of(const fs::path& path) {
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return sha256_hex(file.get(), std::size_t{1} << 30).value();
}

// Ourselves as a peer.
struct Ourselves {
  std::array<Fd, 2> ends = [] {
    std::array<int, 2> pair{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) == 0);
    return std::array<Fd, 2>{Fd(pair[0]), Fd(pair[1])};
  }();
  std::shared_ptr<const Peer> peer = Peer::of_socket(ends[0].get()).value();
};

// A client that runs a program of ours, made before it was looked at.
struct Program {
  explicit Program(std::string_view name) : path(directory / name) {
    fs::copy_file("/bin/cat", path);
    client.exec(path.string());
    peer = Peer::of_socket(client.socket()).value();
  }
  Selectors attest(UnixAttestor::Options options = {}) const {
    return UnixAttestor(options).attest(*peer).value();
  }

  TemporaryDirectory directory;
  fs::path path;
  ClientProcess client;
  std::shared_ptr<const Peer> peer;
};

}  // namespace

TEST_CASE("a caller has its user and group, by number and by name") {
  Ourselves self;

  auto found = UnixAttestor({}).attest(*self.peer);

  REQUIRE(found);
  CHECK(found->contains({"unix", "uid:" + std::to_string(::geteuid())}));
  CHECK(found->contains({"unix", "gid:" + std::to_string(::getegid())}));
  const passwd* user = ::getpwuid(::geteuid());
  CHECK(values(*found, "user") == (user != nullptr ? Values{user->pw_name} : Values{}));
  const group* own_group = ::getgrgid(::getegid());
  CHECK(values(*found, "group") == (own_group != nullptr ? Values{own_group->gr_name} : Values{}));
}

TEST_CASE("names are looked up only when asked, the numbers are there always") {
  Ourselves self;

  auto named = UnixAttestor({}).attest(*self.peer);
  auto plain = UnixAttestor({.look_up_names = false}).attest(*self.peer);

  REQUIRE(named);
  REQUIRE(plain);
  std::erase_if(*named, [](const Selector& s) {
    return s.value.starts_with("user:") || s.value.starts_with("group:") ||
           s.value.starts_with("supplementary_group:");
  });
  CHECK(*plain == *named);
}

TEST_CASE("the attestor is quick if it reads no executable and asks no user database") {
  CHECK(UnixAttestor({.look_up_names = false}).is_quick());

  CHECK_FALSE(UnixAttestor({}).is_quick());
  CHECK_FALSE(UnixAttestor({.hash_executable = true, .look_up_names = false}).is_quick());
}

TEST_CASE("supplementary groups are told apart from the group of the process") {
  Ourselves self;
  std::vector<gid_t> groups(static_cast<std::size_t>(::getgroups(0, nullptr)));
  groups.resize(
      static_cast<std::size_t>(::getgroups(static_cast<int>(groups.size()), groups.data())));

  auto found = UnixAttestor({}).attest(*self.peer);

  REQUIRE(found);
  CHECK(values(*found, "gid").size() == 1);
  std::set<std::string> expected_groups;
  for (gid_t gid : groups) expected_groups.insert(std::to_string(gid));
  Values listed = values(*found, "supplementary_gid");
  CHECK(std::set<std::string>(listed.begin(), listed.end()) == expected_groups);
}

TEST_CASE("a caller has the path of its executable, and its hash only when asked") {
  Ourselves self;
  fs::path exe = fs::read_symlink("/proc/self/exe");

  auto plain = UnixAttestor({}).attest(*self.peer);
  auto hashed = UnixAttestor(kWithHash).attest(*self.peer);

  REQUIRE(plain);
  CHECK(values(*plain, "path") == Values{exe.string()});
  CHECK(values(*plain, "sha256").empty());
  REQUIRE(hashed);
  CHECK(values(*hashed, "path") == Values{exe.string()});
  CHECK(values(*hashed, "sha256") == Values{hash_of(exe)});
}

TEST_CASE("selectors read back as they are written in an entry") {
  Ourselves self;

  auto found = UnixAttestor(kWithHash).attest(*self.peer);

  REQUIRE(found);
  for (const Selector& s : *found) CHECK(Selector::parse(s.str()) == s);
}

TEST_CASE("an executable too large to hash fails the attestor") {
  Ourselves self;

  auto found = UnixAttestor({.hash_executable = true, .max_hash_bytes = 1000}).attest(*self.peer);

  REQUIRE_FALSE(found);
  CHECK(found.error().code == Code::kResourceExhausted);
  CHECK(found.error().message.find("larger than 1000 bytes") != std::string::npos);
}

TEST_CASE("a deleted executable has no path, but still its hash") {
  Program program("app");
  std::string hash = hash_of(program.path);
  CHECK(values(program.attest(), "path") == Values{program.path.string()});

  fs::remove(program.path);

  CHECK(values(program.attest(), "path").empty());
  CHECK(values(program.attest(kWithHash), "sha256") == Values{hash});
}

TEST_CASE("a process does not get the path or hash of what replaced its executable") {
  Program program("app");
  std::string hash = hash_of(program.path);

  program.directory.write("new", "#!/bin/sh\n");
  fs::rename(program.directory / "new", program.path);

  CHECK(values(program.attest(), "path").empty());
  CHECK(values(program.attest(kWithHash), "sha256") == Values{hash});
}

TEST_CASE("an executable that lives on under another name does not keep its old path") {
  Program program("app");
  fs::create_hard_link(program.path, program.directory / "backup");

  fs::remove(program.path);

  CHECK(values(program.attest(), "path") == Values{program.path.string() + " (deleted)"});
}

TEST_CASE("a file that is really called deleted does not pass for another") {
  Program program("app (deleted)");

  CHECK(values(program.attest(), "path") == Values{program.path.string()});
}

TEST_CASE("a path with a control character is left out") {
  Program program("app\nunix:uid:0");

  Selectors found = program.attest();

  CHECK(values(found, "path").empty());
  CHECK(values(found, "uid") == Values{std::to_string(::geteuid())});
}

TEST_CASE("a process that has run another program since it connected is not attested") {
  ClientProcess client;
  auto peer = Peer::of_socket(client.socket());
  REQUIRE(peer);

  client.exec("/bin/cat");

  auto found = UnixAttestor({}).attest(**peer);
  REQUIRE_FALSE(found);
  CHECK(found.error().code == Code::kUnavailable);
}
