#include "agent/base/files.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>

#include "test/support/temporary_directory.h"

using namespace nodepilot;
namespace fs = std::filesystem;

namespace {

// A umask for the life of this object.
class Umask {
 public:
  explicit Umask(mode_t mask) : before_(::umask(mask)) {}
  Umask(const Umask&) = delete;
  Umask& operator=(const Umask&) = delete;
  ~Umask() { ::umask(before_); }

 private:
  mode_t before_;
};

// Lets no file grow beyond `bytes`: a full disk that is the same for root and others.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) : handler_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = {bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  sighandler_t handler_;
};

mode_t mode_of(const fs::path& path) {
  struct stat status {};
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

std::vector<std::string> names_in(const fs::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string text(const SecretBytes& bytes) { return {bytes.begin(), bytes.end()}; }

bool names(const Error& error, const fs::path& path) {
  return error.message.find(path.string()) != std::string::npos;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a file is read whole") {
  TemporaryDirectory directory;
  std::string big(1'000'003, 'x');
  std::string binary("a\0b\n", 4);

  CHECK(read_file(directory.write("empty", ""), 10) == "");
  CHECK(read_file(directory.write("binary", binary), 10) == binary);
  CHECK(read_file(directory.write("big", big), 2'000'000) == big);
}

TEST_CASE("a file may be as large as the bound, but not larger") {
  TemporaryDirectory directory;
  for (std::size_t bound : {std::size_t{1}, std::size_t{4096}, std::size_t{100'000}}) {
    CAPTURE(bound);
    auto fits = directory.write("fits", std::string(bound, 'x'));
    auto large = directory.write("large", std::string(bound + 1, 'x'));

    CHECK(read_file(fits, bound)->size() == bound);
    auto refused = read_file(large, bound);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::kResourceExhausted);
    CHECK(names(refused.error(), large));
  }
}

TEST_CASE("a file whose size the kernel does not tell is read whole") {
  auto status = read_file("/proc/self/status", 1'000'000);

  REQUIRE(status);
  CHECK(status->find("Uid:") != std::string::npos);
  CHECK(read_file("/proc/self/status", 10).error().code == Code::kResourceExhausted);
}

TEST_CASE("a missing file is not found") {
  TemporaryDirectory directory;

  auto read = read_file(directory / "missing", 10);

  REQUIRE_FALSE(read);
  CHECK(read.error().code == Code::kNotFound);
  CHECK(names(read.error(), directory / "missing"));
}

TEST_CASE("a file beneath a directory is read through links that stay inside") {
  TemporaryDirectory outer;
  outer.write("granted/..2026/tls.crt", "certificate");
  fs::path granted = outer / "granted";
  fs::create_directory_symlink("..2026", granted / "..data");
  fs::create_symlink("..data/tls.crt", granted / "tls.crt");
  fs::create_directory_symlink(granted, outer / "mounted");

  CHECK(text(*read_file_beneath(granted, "tls.crt", 100)) == "certificate");
  CHECK(text(*read_file_beneath(outer / "mounted", "tls.crt", 100)) == "certificate");
}

TEST_CASE("no path and no link leads out of the directory") {
  TemporaryDirectory outer;
  fs::path secret = outer.write("secret", "not yours");
  outer.write("granted/file", "x");
  fs::path granted = outer / "granted";
  fs::create_symlink("../secret", granted / "relative");
  fs::create_symlink(secret, granted / "absolute");
  fs::create_symlink(granted / "file", granted / "absolute-inside");
  fs::create_directory_symlink("..", granted / "up");

  for (const char* name : {"../secret", "relative", "absolute", "absolute-inside", "up/secret",
                           "./../granted/../secret"}) {
    auto read = read_file_beneath(granted, name, 100);

    CAPTURE(name);
    REQUIRE_FALSE(read);
    CHECK(read.error().code == Code::kPermissionDenied);
    CHECK(read.error().message ==
          "open " + (granted / name).string() + ": leads out of " + granted.string());
  }
  CHECK_FALSE(read_file_beneath(granted, secret, 100));
}

TEST_CASE("beneath a directory too only regular files of bounded size are read") {
  TemporaryDirectory directory;
  directory.write("large", "12345");
  REQUIRE(::mkfifo((directory / "fifo").c_str(), 0600) == 0);
  fs::create_directory(directory / "folder");
  auto code = [&](const char* name) {
    return read_file_beneath(directory.path(), name, 4).error().code;
  };

  CHECK(code("large") == Code::kResourceExhausted);
  CHECK(code("fifo") == Code::kFailedPrecondition);
  CHECK(code("folder") == Code::kFailedPrecondition);
  CHECK(code("missing") == Code::kNotFound);
  CHECK(read_file_beneath(directory / "missing", "a", 4).error().code == Code::kNotFound);
  CHECK(read_file_beneath(directory / "large", "a", 4).error().message.find("large") !=
        std::string::npos);
}

TEST_CASE("only regular files are read, and a FIFO does not hang the reader") {
  TemporaryDirectory directory;
  auto file = directory.write("file", "x");
  fs::create_symlink(file, directory / "link");
  fs::create_symlink(directory / "nowhere", directory / "dangling");
  REQUIRE(::mkfifo((directory / "fifo").c_str(), 0600) == 0);

  const std::vector<fs::path> paths = {directory / "link", directory / "dangling",
                                       directory / "fifo", directory.path(), "/dev/null"};
  for (const fs::path& path : paths) {
    CAPTURE(path.string());
    for (const Error& error : {read_file(path, 10).error(), read_private_file(path, 10).error()}) {
      CHECK(error.code == Code::kFailedPrecondition);
      CHECK(names(error, path));
    }
  }
}

TEST_CASE("a symbolic link on the way to a file is followed") {
  TemporaryDirectory directory;
  directory.write("real/file", "x");
  fs::create_directory_symlink(directory / "real", directory / "link");

  CHECK(read_file(directory / "link/file", 10) == "x");
}

TEST_CASE("a real path is that of the file behind links") {
  TemporaryDirectory directory;
  fs::path file = directory.write("..data/ca.pem", "text");
  fs::create_symlink("..data/ca.pem", directory / "ca.pem");

  auto real = real_path(directory / "ca.pem");
  auto missing = real_path(directory / "none.pem");

  REQUIRE(real);
  CHECK(*real == fs::canonical(file));
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == Code::kNotFound);
  CHECK(missing.error().message ==
        "open " + (directory / "none.pem").string() + ": No such file or directory");
}

TEST_CASE("a private file is read when only its owner may read it") {
  TemporaryDirectory directory;
  auto key = directory.write("key", "secret");
  for (mode_t mode : {0600, 0400, 0700}) {
    CAPTURE(mode);
    REQUIRE(::chmod(key.c_str(), mode) == 0);
    auto read = read_private_file(key, 100);
    REQUIRE(read);
    CHECK(text(*read) == "secret");
  }
}

TEST_CASE("a private file that others may touch is refused with the command that mends it") {
  TemporaryDirectory directory;
  auto key = directory.write("key", "secret");
  for (mode_t mode : {0640, 0604, 0620, 0602, 0610, 0601, 0644, 0777}) {
    CAPTURE(mode);
    REQUIRE(::chmod(key.c_str(), mode) == 0);
    auto read = read_private_file(key, 100);
    REQUIRE_FALSE(read);
    CHECK(read.error().code == Code::kFailedPrecondition);
    CHECK(read.error().message.ends_with("chmod 0600 " + key.string()));
    CHECK(read.error().message.find("secret") == std::string::npos);
  }
}

TEST_CASE("a private file is bounded as well") {
  TemporaryDirectory directory;
  auto key = directory.write("key", "secret");
  REQUIRE(::chmod(key.c_str(), 0600) == 0);

  CHECK(text(*read_private_file(key, 6)) == "secret");
  CHECK(read_private_file(key, 5).error().code == Code::kResourceExhausted);
}

TEST_CASE("a file is written whole, replaced whole, and private whatever the umask is") {
  for (mode_t mask : {0000, 0022, 0777}) {
    CAPTURE(mask);
    TemporaryDirectory directory;
    auto path = directory / "file";
    Umask umask(mask);

    REQUIRE(write_file_atomic(path, "old and longer"));
    CHECK(mode_of(path) == 0600);
    REQUIRE(write_file_atomic(path, "new"));

    CHECK(read_file(path, 100) == "new");
    CHECK(mode_of(path) == 0600);
    CHECK(names_in(directory.path()) == Names{"file"});
  }
}

TEST_CASE("a file is written with the mode that was asked for") {
  TemporaryDirectory directory;
  auto path = directory / "bundle.pem";
  Umask umask(077);

  REQUIRE(write_file_atomic(path, "x", 0644));
  CHECK(mode_of(path) == 0644);
  REQUIRE(write_file_atomic(path, "x", 0600));
  CHECK(mode_of(path) == 0600);
}

TEST_CASE("writing to a symbolic link replaces the link, not the file behind it") {
  TemporaryDirectory directory;
  auto victim = directory.write("victim", "precious");
  fs::create_symlink(victim, directory / "link");

  REQUIRE(write_file_atomic(directory / "link", "x"));

  CHECK(read_file(victim, 100) == "precious");
  CHECK(read_file(directory / "link", 100) == "x");
}

TEST_CASE("a write that runs out of space keeps the old file and leaves no temporary") {
  TemporaryDirectory directory;
  auto path = directory.write("file", "old");

  auto written = [&] {
    FullDisk full(1000);
    return write_file_atomic(path, std::string(2000, 'x'));
  }();

  REQUIRE_FALSE(written);
  CHECK(names(written.error(), path));
  CHECK(read_file(path, 100) == "old");
  CHECK(names_in(directory.path()) == Names{"file"});
}

TEST_CASE("a write over a directory fails and leaves no temporary") {
  TemporaryDirectory directory;
  directory.write("folder/inside", "x");

  auto written = write_file_atomic(directory / "folder", "x");

  REQUIRE_FALSE(written);
  CHECK(names(written.error(), directory / "folder"));
  CHECK(names_in(directory.path()) == Names{"folder"});
  CHECK(read_file(directory / "folder/inside", 10) == "x");
}

TEST_CASE("a write into a missing directory fails") {
  TemporaryDirectory directory;

  auto written = write_file_atomic(directory / "missing/file", "x");

  REQUIRE_FALSE(written);
  CHECK(written.error().code == Code::kNotFound);
}

TEST_CASE("a temporary left by a crash does not stand in the way") {
  TemporaryDirectory directory;
  std::string stale = ".file." + std::to_string(::getpid()) + ".tmp";
  fs::create_symlink(directory.write("victim", "precious"), directory / stale);

  REQUIRE(write_file_atomic(directory / "file", "x"));

  CHECK(names_in(directory.path()) == Names{stale, "file", "victim"});
  CHECK(read_file(directory / "victim", 100) == "precious");
}

TEST_CASE("a missing directory is made with its mode whatever the umask is") {
  for (mode_t mask : {0000, 0777}) {
    CAPTURE(mask);
    TemporaryDirectory directory;
    Umask umask(mask);

    REQUIRE(ensure_directory(directory / "a", 0700));
    REQUIRE(ensure_directory(directory / "b", 0755));

    CHECK(mode_of(directory / "a") == 0700);
    CHECK(mode_of(directory / "b") == 0755);
  }
}

TEST_CASE("a directory is not made without its parent") {
  TemporaryDirectory directory;

  auto made = ensure_directory(directory / "a/b", 0700);

  REQUIRE_FALSE(made);
  CHECK(made.error().code == Code::kNotFound);
  CHECK(names_in(directory.path()).empty());
}

TEST_CASE("an existing directory that is no more open than asked is kept as it is") {
  TemporaryDirectory directory;
  auto path = directory / "a";
  REQUIRE(ensure_directory(path, 0700));

  CHECK(ensure_directory(path, 0700));
  CHECK(ensure_directory(path, 0755));
  CHECK(mode_of(path) == 0700);
}

TEST_CASE("an existing directory that is too open is refused with the command that mends it") {
  TemporaryDirectory directory;
  auto path = directory / "a";
  REQUIRE(ensure_directory(path, 0750));

  auto ensured = ensure_directory(path, 0700);

  REQUIRE_FALSE(ensured);
  CHECK(ensured.error().code == Code::kFailedPrecondition);
  CHECK(ensured.error().message.ends_with("chmod 0700 " + path.string()));
  CHECK(mode_of(path) == 0750);
}

TEST_CASE("a file or a symbolic link does not pass for a directory") {
  TemporaryDirectory directory;
  directory.write("file", "x");
  REQUIRE(ensure_directory(directory / "real", 0700));
  fs::create_directory_symlink(directory / "real", directory / "link");

  for (const char* name : {"file", "link"}) {
    CAPTURE(name);
    auto ensured = ensure_directory(directory / name, 0700);
    REQUIRE_FALSE(ensured);
    CHECK(ensured.error().message == (directory / name).string() + ": not a directory");
  }
}
