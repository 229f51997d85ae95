#include "agent/open_state.h"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

// $CREDENTIALS_DIRECTORY, as systemd would have it, while this lives.
struct Credentials {
  explicit Credentials(const std::filesystem::path& directory) {
    ::setenv("CREDENTIALS_DIRECTORY", directory.c_str(), 1);
  }
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;
  ~Credentials() { ::unsetenv("CREDENTIALS_DIRECTORY"); }
};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::filesystem::path write_key(const TemporaryDirectory& folder, const char* name,
                                std::size_t bytes, mode_t mode = 0600) {
  auto file = folder.write(name, std::string(bytes, 'k'));
  ::chmod(file.c_str(), mode);
  return file;
}

TEST_CASE("the key comes from its file, or from systemd's credential of the same bytes") {
  TemporaryDirectory folder;
  auto file = write_key(folder, "nodepilot-state-key", 32);
  auto from_file = read_state_key({.key_file = file});
  REQUIRE(from_file);

  Credentials credentials(folder.path());
  auto from_systemd = read_state_key({});

  REQUIRE(from_systemd);
  CHECK(from_systemd->id() == from_file->id());
}

TEST_CASE("a credential may have the mode that systemd's access list gives it") {
  TemporaryDirectory folder;
  write_key(folder, "mine", 40, 0440);
  Credentials credentials(folder.path());

  CHECK(read_state_key({.key_file = {}, .key_credential = "mine"}));
}

TEST_CASE("without a key the error says how to make one") {
  ::unsetenv("CREDENTIALS_DIRECTORY");
  auto without = read_state_key({});
  REQUIRE_FALSE(without);
  CHECK(has(without.error().message, "no credential nodepilot-state-key came from systemd"));
  CHECK(has(without.error().message, "systemd-creds encrypt --name=nodepilot-state-key"));
  CHECK(has(without.error().message, "head -c 32 /dev/urandom"));

  TemporaryDirectory folder;
  Credentials credentials(folder.path());
  auto missing = read_state_key({});
  REQUIRE_FALSE(missing);
  CHECK(has(missing.error().message, "No such file or directory; make one: "));
}

TEST_CASE("a key that others can read, that is short, missing or huge is refused") {
  TemporaryDirectory folder;

  auto open = read_state_key({.key_file = write_key(folder, "open", 32, 0640)});
  REQUIRE_FALSE(open);
  CHECK(has(open.error().message, "lets others read a private key: chmod 0600"));

  auto brief = read_state_key({.key_file = write_key(folder, "short", 31)});
  REQUIRE_FALSE(brief);
  CHECK(has(brief.error().message, "short: holds 31 bytes; a sealing key needs at least 32"));
  CHECK_FALSE(has(brief.error().message, "kkk"));

  CHECK_FALSE(read_state_key({.key_file = folder / "missing"}));
  CHECK_FALSE(read_state_key({.key_file = write_key(folder, "huge", 64 * 1024 + 1)}));
}

}  // namespace
}  // namespace nodepilot
