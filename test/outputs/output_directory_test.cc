#include "rotation/outputs/output_directory.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <thread>

#include "test/outputs/kit.h"

namespace nodepilot {
namespace {

struct DirectoryRig {
  explicit DirectoryRig(OutputDirectory::Options options = {})
      : directory(with_path(std::move(options))) {}

  OutputDirectory::Options with_path(OutputDirectory::Options options) const {
    options.path = path;
    return options;
  }
  expected<void> prepare() const { return directory.prepare(file_names(OutputProfile::kTls)); }
  expected<void> show(const OutputContent& content,
                      OutputProfile profile = OutputProfile::kTls) const {
    return directory.show(render(content, profile), now);
  }
  OutputContent show_new() {
    OutputContent content = source.make();
    REQUIRE(show(content));
    return content;
  }
  bool shows(const OutputContent& content) const {
    auto chain = Certificate::parse_pem(read_text(path / "tls.crt"));
    auto key = PrivateKey::parse_pem(read_secret(path / "tls.key"));
    return chain && key && chain.value() == content.svid->chain() &&
           content.svid->leaf().has_key(*key);
  }

  TemporaryDirectory home;
  fs::path path = home / "web";
  ContentSource source;
  Time now = FakeClock().now();
  OutputDirectory directory;
};

// The umask of a daemon, which must not show in the modes.
struct Umask {
  explicit Umask(mode_t mask) : before(::umask(mask)) {}
  Umask(const Umask&) = delete;
  Umask& operator=(const Umask&) = delete;
  ~Umask() { ::umask(before); }
  mode_t before;
};

TEST_CASE("a set is a directory that every name leads to through one link") {
  DirectoryRig rig;
  REQUIRE(rig.prepare());

  OutputContent content = rig.show_new();

  CHECK(rig.shows(content));
  for (const char* name : {"tls.crt", "tls.key", "ca.crt"}) {
    CHECK(fs::read_symlink(rig.path / name) == std::string("..data/") + name);
  }
  std::string set = shown_set(rig.path);
  CHECK(set.starts_with("..2026_01_01_00_00_00."));
  CHECK(names_in(rig.path) == std::set<std::string>{"..data", set, "tls.crt", "tls.key", "ca.crt"});
  CHECK(names_in(rig.path / set) == std::set<std::string>{"tls.crt", "tls.key", "ca.crt"});
}

TEST_CASE("modes are as asked for, whatever the umask") {
  for (mode_t mask : {mode_t{0000}, mode_t{0077}}) {
    Umask umask(mask);
    DirectoryRig plain;
    DirectoryRig for_group({.path = {}, .key_mode = 0640, .mode = 0444});

    plain.show_new();
    for_group.show_new();

    CHECK(mode_of(plain.path) == 0755);
    CHECK(mode_of(plain.path / shown_set(plain.path)) == 0755);
    CHECK(mode_of(plain.path / "tls.key") == 0600);
    CHECK(mode_of(plain.path / "tls.crt") == 0644);
    CHECK(mode_of(plain.path / "ca.crt") == 0644);
    CHECK(mode_of(for_group.path / "tls.key") == 0640);
    CHECK(mode_of(for_group.path / "tls.crt") == 0444);
  }
}

TEST_CASE("files are given to their owner") {
  bool is_root = ::geteuid() == 0;
  uid_t uid = is_root ? 61001 : ::geteuid();
  gid_t gid = is_root ? 61002 : ::getegid();
  DirectoryRig rig({.path = {}, .owner = {.uid = uid, .gid = gid}, .key_mode = 0640});

  rig.show_new();

  struct stat status {};
  REQUIRE(::stat((rig.path / "tls.key").c_str(), &status) == 0);
  CHECK(status.st_uid == uid);
  CHECK(status.st_gid == gid);
  CHECK((status.st_mode & 07777) == 0640);
}

TEST_CASE("the set before stays until the next, older ones go") {
  DirectoryRig rig;
  std::array<std::string, 3> sets;
  for (std::string& set : sets) {
    rig.show_new();
    set = shown_set(rig.path);
  }

  CHECK(sets_in(rig.path) == std::set<std::string>{sets[1], sets[2]});
  CHECK(read_text(rig.path / sets[1] / "tls.key").starts_with("-----BEGIN PRIVATE KEY"));
}

TEST_CASE("a reader that follows the link once finds a key and a chain that match") {
  DirectoryRig rig;
  rig.show_new();
  std::atomic<bool> done = false;
  int read = 0;
  int mixed = 0;
  std::thread reader([&] {
    do {
      int fd = ::open((rig.path / "..data").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
      fs::path set = "/proc/self/fd/" + std::to_string(fd);
      auto chain = Certificate::parse_pem(read_text(set / "tls.crt"));
      auto key = PrivateKey::parse_pem(read_secret(set / "tls.key"));
      ::close(fd);
      ++read;
      // Gone with its set, if two more have come meanwhile: then both are, or the later one is.
      if (!chain || !key) continue;
      if (!chain->front().has_key(*key)) ++mixed;
    } while (!done);
  });

  for (int i = 0; i < 60; ++i) rig.show_new();
  done = true;
  reader.join();

  CHECK(read > 0);
  CHECK(mixed == 0);
}

TEST_CASE(
    "a process that is killed at any moment leaves one whole set, and the next start tidies") {
  DirectoryRig rig;
  rig.show_new();
  std::vector<OutputContent> contents{rig.source.make(), rig.source.make()};
  for (int round = 0; round < 20; ++round) {
    std::array<int, 2> pipe{};
    REQUIRE(::pipe(pipe.data()) == 0);
    pid_t child = ::fork();
    if (child == 0) {
      for (std::size_t i = 0; i < 10'000; ++i) {
        if (!rig.show(contents[i % 2])) ::_exit(1);
        if (::write(pipe[1], "x", 1) != 1) ::_exit(1);
      }
      ::_exit(1);
    }
    ::close(pipe[1]);
    char byte = 0;
    // At another place in each round: what is left to do after a set is written varies.
    for (int i = 0; i <= round % 5; ++i) CHECK(::read(pipe[0], &byte, 1) == 1);
    for (std::atomic<int> spin = 0; spin < round * 20'000; ++spin) {
    }
    ::kill(child, SIGKILL);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    ::close(pipe[0]);

    CHECK(WIFSIGNALED(status));
    bool whole = rig.shows(contents[0]) || rig.shows(contents[1]);
    CHECK(whole);
    REQUIRE(rig.prepare());
    CHECK(sets_in(rig.path) == std::set<std::string>{shown_set(rig.path)});
    CHECK_FALSE(names_in(rig.path).contains("..data_tmp"));
  }
}

TEST_CASE("a start removes what a crash left, and nothing else") {
  DirectoryRig rig;
  OutputContent content = rig.show_new();
  std::string shown = shown_set(rig.path);
  fs::create_directory(rig.path / "..2025_01_01_00_00_00.77");
  std::ofstream(rig.path / "..2025_01_01_00_00_00.77/tls.key") << "old";
  fs::create_symlink("..2025_01_01_00_00_00.77", rig.path / "..data_tmp");
  fs::create_directory(rig.path / "..2025_01_01_00_00_00");
  fs::create_directory(rig.path / "..2025_01_01_00_00_00.77x");
  fs::create_directory(rig.path / "..notes");
  std::ofstream(rig.path / "README") << "mine";
  fs::create_directories(rig.path / "..2025_01_01_00_00_00.88/deep");
  std::ofstream(rig.path / "..2025_01_01_00_00_00.88/deep/file") << "mine";

  REQUIRE(rig.prepare());

  CHECK(names_in(rig.path) == std::set<std::string>{"..data", shown, "tls.crt", "tls.key", "ca.crt",
                                                    "README", "..notes", "..2025_01_01_00_00_00",
                                                    "..2025_01_01_00_00_00.77x",
                                                    "..2025_01_01_00_00_00.88"});
  CHECK(read_text(rig.path / "..2025_01_01_00_00_00.88/deep/file") == "mine");
  CHECK(rig.shows(content));
}

TEST_CASE("a link with the name of a set does not lead its removal elsewhere") {
  DirectoryRig rig;
  rig.show_new();
  fs::create_directory(rig.home / "victim");
  std::ofstream(rig.home / "victim/file") << "mine";
  fs::create_symlink(rig.home / "victim", rig.path / "..2025_01_01_00_00_00.77");

  REQUIRE(rig.prepare());

  CHECK(read_text(rig.home / "victim/file") == "mine");
}

TEST_CASE("the names of an earlier profile go with the first new set") {
  DirectoryRig rig;
  REQUIRE(rig.show(rig.source.make(), OutputProfile::kPem));
  fs::create_symlink("elsewhere", rig.path / "mine");

  rig.show_new();

  CHECK_FALSE(names_in(rig.path).contains("svid.pem"));
  CHECK_FALSE(names_in(rig.path).contains("svid_key.pem"));
  CHECK(names_in(rig.path).contains("mine"));
}

TEST_CASE("a directory that others could write through is refused") {
  DirectoryRig rig;
  fs::create_directory(rig.path);
  SUBCASE("group may write") {
    fs::permissions(rig.path, fs::perms(0775));
    CHECK(rig.prepare().error().message ==
          rig.path.string() + ": mode 0775 lets others exchange what is written: chmod go-w " +
              rig.path.string());
  }
  SUBCASE("others may write") { fs::permissions(rig.path, fs::perms(0757)); }
  SUBCASE("it is a link") {
    fs::rename(rig.path, rig.home / "real");
    fs::create_symlink(rig.home / "real", rig.path);
    CHECK(rig.prepare().error().message.ends_with(
        ": is a symbolic link or no directory; name the directory itself"));
  }
  SUBCASE("it is a file") {
    fs::remove(rig.path);
    std::ofstream(rig.path) << "x";
  }
  SUBCASE("it belongs to another user") {
    if (::geteuid() != 0) return;
    REQUIRE(::chown(rig.path.c_str(), 61001, 61001) == 0);
    CHECK(rig.prepare().error().message.find("belongs to uid 61001") != std::string::npos);
  }

  auto refused = rig.prepare();
  auto not_shown = rig.show(rig.source.make());

  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::kFailedPrecondition);
  REQUIRE_FALSE(not_shown);
  CHECK(not_shown.error().code == Code::kFailedPrecondition);
}

TEST_CASE("what is not ours is not replaced") {
  for (const char* name : {"tls.key", "..data"}) {
    DirectoryRig rig;
    fs::create_directory(rig.path);
    std::ofstream(rig.path / name) << "mine";

    auto refused = rig.prepare();
    auto not_shown = rig.show(rig.source.make());

    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::kFailedPrecondition);
    CHECK_FALSE(not_shown);
    CHECK(read_text(rig.path / name) == "mine");
    CHECK(sets_in(rig.path).empty());
  }
}

TEST_CASE("a missing parent is a passing fault, not a refusal") {
  DirectoryRig rig;
  fs::remove_all(rig.home.path());

  auto failed = rig.prepare();

  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == Code::kNotFound);
}

TEST_CASE("a disk that takes no more leaves the old set and no litter") {
  DirectoryRig rig;
  OutputContent content = rig.show_new();
  auto before = names_in(rig.path);
  OutputContent next = rig.source.make();
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &limit) == 0);
  auto old_handler = ::signal(SIGXFSZ, SIG_IGN);
  rlimit tight{.rlim_cur = 100, .rlim_max = limit.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &tight) == 0);

  auto failed = rig.show(next);

  REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  ::signal(SIGXFSZ, old_handler);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().message.find("File too large") != std::string::npos);
  CHECK(names_in(rig.path) == before);
  CHECK(rig.shows(content));
}

}  // namespace
}  // namespace nodepilot
