// A disk that fails under the sealed state, and a crash at every step of writing it.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "agent/base/sha256.h"
#include "agent/open_state.h"
#include "test/faults/disk_calls.h"
#include "test/state/rig.h"

namespace nodepilot {
namespace {

namespace fs = std::filesystem;

std::string read_text(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_text(const fs::path& file, std::string_view text) {
  std::ofstream(file, std::ios::binary) << text;
}

std::size_t files_in(const fs::path& directory) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
}

// Issues, with a disk on which `call` fails, and later with a good one.
void check_served_from_memory(DiskCall call, int error, const std::string& why) {
  Node node;
  DiskCalls disk;
  auto life = node.live();
  life->start();
  auto watcher = life->watch(0);
  const std::string stored = watcher->serial();
  disk.fail(call, error);

  life->rotator.rotate("e0", [](const RotationOutcome&) {});
  const std::string fresh = watcher->serial();

  CHECK(fresh != stored);
  REQUIRE(life->state->failure());
  CHECK(life->state->failure()->message.find(why) != std::string::npos);
  node.clock.advance(minutes(5));
  CHECK(watcher->serial() == fresh);
  CHECK(life->files.writes() > 5);
  CHECK(files_in(node.directory) == 2);  // no temporary file is left

  disk.recover();
  node.clock.advance(minutes(1));
  CHECK_FALSE(life->state->failure());
  watcher.reset();
  life.reset();
  life = node.live();
  life->start();
  CHECK(life->serial(0) == fresh);
}

TEST_CASE("fault 62: a full disk or quota costs nobody an SVID, shows, and is tried again") {
  check_served_from_memory(DiskCall::kWrite, ENOSPC, "No space left on device");
  check_served_from_memory(DiskCall::kWrite, EDQUOT, "Disk quota exceeded");
  check_served_from_memory(DiskCall::kSyncFile, ENOSPC, "No space left on device");
}

TEST_CASE("fault 62: the next start has the last state that fitted") {
  Node node;
  DiskCalls disk;
  auto life = node.live();
  life->start();
  auto watcher = life->watch(0);
  const std::string stored = watcher->serial();

  disk.fail(DiskCall::kWrite, ENOSPC);
  life->rotator.rotate("e0", [](const RotationOutcome&) {});
  watcher.reset();
  life.reset();
  life = node.live();
  life->start();

  CHECK(life->serial(0) == stored);
}

TEST_CASE("fault 63: on a read-only disk the agent starts with what is there and serves") {
  Node node;
  node.live_once(1);
  DiskCalls disk;
  disk.fail(DiskCall::kRename, EROFS);
  disk.fail(DiskCall::kWrite, EROFS);

  auto life = node.live(2);
  life->start();
  auto stored = life->watch(0);
  auto fresh = life->watch(1);

  CHECK(stored->serial() == node.serials[0]);
  CHECK(fresh->now().settled);
  REQUIRE(life->state->failure());
  CHECK(life->state->failure()->message.find("Read-only file system") != std::string::npos);
}

// What becomes of a stored SVID whose file was turned into `bytes`.
void check_set_aside(Node& node, const std::string& bytes) {
  const fs::path file = node.file_of(0);
  const std::string good = read_text(file);
  write_text(file, bytes);
  std::size_t signs = node.ca.signs();
  {
    auto life = node.live(2);
    life->start();
    CHECK(life->serial(0).empty());
    CHECK(life->serial(1) == node.serials[1]);
    auto watcher = life->watch(0);
    CHECK(watcher->now().settled);
    CHECK(node.ca.signs() == signs + 1);
  }
  CHECK(read_text(file.string() + ".bad") == bytes);
  write_text(file, good);
}

TEST_CASE("fault 64: a file cut short, empty or with flipped bits is set aside, the rest is used") {
  Node node;
  node.live_once(2);
  const std::string good = read_text(node.file_of(0));

  for (std::size_t length : {std::size_t{0}, std::size_t{1}, good.size() / 2, good.size() - 1}) {
    CAPTURE(length);
    check_set_aside(node, good.substr(0, length));
  }
  for (std::size_t byte = 0; byte < good.size(); byte += 23) {
    CAPTURE(byte);
    std::string flipped = good;
    flipped[byte] = static_cast<char>(flipped[byte] ^ 0x40);
    check_set_aside(node, flipped);
  }
  check_set_aside(node, good + "x");
  check_set_aside(node, std::string(good.size(), '\0'));
  check_set_aside(node, std::string(2 * kMaxStoredBytes, 'x'));
}

TEST_CASE("fault 64: with every file damaged the agent starts afresh") {
  Node node;
  node.live_once(2);
  for (const auto& file : fs::directory_iterator(node.directory)) write_text(file.path(), "");

  auto life = node.live(2);
  life->start();
  auto watcher = life->watch(0);

  CHECK(watcher->now().settled);
  CHECK(watcher->serial() != node.serials[0]);
}

// A child takes up the state, rotates, and is killed when it comes to `call`.
void rotate_and_die_at(Node& node, DiskCall call) {
  pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    auto life = node.live();
    life->start();
    auto watcher = life->watch(0);
    DiskCalls disk;
    disk.die_at(call);
    life->rotator.rotate("e0", [](const RotationOutcome&) {});
    ::_exit(1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  REQUIRE(WTERMSIG(status) == SIGKILL);
}

// The serial that is served after the crash; whole, for it is verified on the way.
std::string serial_after_crash(Node& node) {
  node.ca.fail_with(Code::kUnavailable);
  auto life = node.live();
  life->start();
  CHECK(files_in(node.directory) == 2);
  auto watcher = life->watch(0);
  CHECK(watcher->now().settled);
  return watcher->serial();
}

TEST_CASE("fault 65: a crash while the temporary file is written leaves the old state") {
  Node node;
  node.live_once(1);

  rotate_and_die_at(node, DiskCall::kWrite);

  CHECK(serial_after_crash(node) == node.serials[0]);
}

TEST_CASE("fault 65: a crash after the temporary file is written leaves the old state") {
  Node node;
  node.live_once(1);

  rotate_and_die_at(node, DiskCall::kSyncFile);

  CHECK(serial_after_crash(node) == node.serials[0]);
}

TEST_CASE("fault 66: a crash after the sync, before the rename leaves the old state") {
  Node node;
  node.live_once(1);

  rotate_and_die_at(node, DiskCall::kRename);

  CHECK(serial_after_crash(node) == node.serials[0]);
}

TEST_CASE("fault 67: a crash before the directory is synced leaves the old or the new state") {
  Node node;
  node.live_once(1);

  rotate_and_die_at(node, DiskCall::kSyncDirectory);

  // Without a power cut the rename has happened.
  std::string serial = serial_after_crash(node);
  CHECK_FALSE(serial.empty());
  CHECK(serial != node.serials[0]);
}

TEST_CASE("fault 68: after a failed sync the whole file is written anew, not synced again") {
  check_served_from_memory(DiskCall::kSyncFile, EIO, "Input/output error");
  check_served_from_memory(DiskCall::kSyncDirectory, EIO, "Input/output error");

  Node node;
  auto life = node.live();
  life->start();
  DiskCalls disk;
  disk.fail(DiskCall::kSyncFile, EIO);
  auto watcher = life->watch(0);
  CHECK(disk.seen() == "ws");

  disk.recover();
  node.clock.advance(seconds(1));

  CHECK(disk.seen() == "wswsrd");
}

TEST_CASE("fault 69: temporary files of a crash are removed at start, those of others are not") {
  Node node;
  node.live_once(1);
  const std::string web = node.file_of(0).filename().string();
  for (const std::string& name : {std::string(".bundle.17.tmp"), "." + web + ".18.tmp"}) {
    node.folder.write("sealed/" + name, "half");
  }
  for (const char* name : {".notes.17.tmp", "bundle.tmp", ".bundle.swp"}) {
    node.folder.write("sealed/" + std::string(name), "mine");
  }

  auto life = node.live();
  life->start();

  CHECK_FALSE(fs::exists(node.directory / ".bundle.17.tmp"));
  CHECK_FALSE(fs::exists(node.directory / ("." + web + ".18.tmp")));
  CHECK(files_in(node.directory) == 2 + 3);
  CHECK(life->serial(0) == node.serials[0]);
}

// A file that is not ours alone is neither used nor written over.
void check_refused(Node& node, const std::string& why) {
  auto life = node.live(2);
  life->start();

  CHECK(life->serial(0).empty());
  CHECK(life->serial(1) == node.serials[1]);
  REQUIRE(life->state->failure());
  CHECK(life->state->failure()->message.find(why) != std::string::npos);
  auto watcher = life->watch(0);
  CHECK(watcher->now().settled);
  CHECK(life->state->failure()->message.find(why) != std::string::npos);
}

TEST_CASE("fault 70: a stored file that a group may read is refused and left") {
  Node node;
  node.live_once(2);
  ::chmod(node.file_of(0).c_str(), 0640);
  const std::string before = read_text(node.file_of(0));

  check_refused(node, "chmod 0600");

  CHECK(read_text(node.file_of(0)) == before);
}

TEST_CASE("fault 70: a symbolic link in place of a stored file is refused and left") {
  Node node;
  node.live_once(2);
  fs::rename(node.file_of(0), node.folder / "elsewhere");
  fs::create_symlink(node.folder / "elsewhere", node.file_of(0));

  check_refused(node, "is a symbolic link");

  CHECK(fs::is_symlink(node.file_of(0)));
}

TEST_CASE("fault 70: a directory that a group may enter, or a key that it may read, is refused") {
  Node node;
  node.live_once(1);
  ::chmod(node.directory.c_str(), 0750);

  auto opened = StateDirectory::open(node.directory);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().message.find("chmod 0700") != std::string::npos);

  fs::path key = node.folder.write("key", std::string(32, 'k'));
  ::chmod(key.c_str(), 0640);
  auto read = read_state_key({.key_file = key});
  REQUIRE_FALSE(read);
  CHECK(read.error().message.find("chmod 0600") != std::string::npos);
}

TEST_CASE("fault 87: a file of a newer version is refused with text and left untouched") {
  constexpr std::size_t kVersionAt = 8;
  constexpr std::size_t kHashBytes = 64;
  Node node;
  node.live_once(2);
  std::string newer = read_text(node.file_of(0));
  newer[kVersionAt] = 2;
  newer.resize(newer.size() - kHashBytes);
  newer += sha256_hex(newer);
  write_text(node.file_of(0), newer);

  check_refused(node, "is of version 2, and this agent knows version 1");

  CHECK(read_text(node.file_of(0)) == newer);
}

}  // namespace
}  // namespace nodepilot
