#include "sds/secret_files.h"

#include <doctest/doctest.h>

#include "test/sds/file_kit.h"

namespace nodepilot {
namespace {

using testing::FileRig;
using namespace std::chrono_literals;

// Watchers of one rig's files.
struct Stage : FileRig {
  Stage() : files(clock, workers, 5s), pair(source(pair_name())) {}

  std::unique_ptr<FileWatch> watch(const FileSource& what, int* changes = nullptr) {
    auto watch = files.watch(what, [changes] {
      if (changes != nullptr) ++*changes;
    });
    REQUIRE(watch);
    return *std::move(watch);
  }

  FakeClock clock;
  InlineWorkers workers;
  SecretFiles files;
  FileSource pair;
};

std::string serial_of(const FileWatch& watch) {
  REQUIRE(watch.answer().secret);
  return watch.answer().secret->certificates.front().serial();
}

TEST_CASE("a file is pending until it is read, on a worker, and then present") {
  Stage stage;
  stage.workers.hold();
  int changes = 0;

  auto watch = stage.watch(stage.pair, &changes);
  CHECK(watch->answer().state == SecretState::kPending);
  CHECK(changes == 0);
  stage.workers.release();

  CHECK(watch->answer().state == SecretState::kPresent);
  CHECK(changes == 1);
}

TEST_CASE("those who ask for the same share one reading") {
  Stage stage;
  auto first = stage.watch(stage.pair);
  stage.workers.hold();

  auto second = stage.watch(stage.pair);

  CHECK(stage.workers.queued() == 0);
  CHECK(second->answer().secret == first->answer().secret);
}

TEST_CASE("a changed file is told to all who watch it, within seconds") {
  Stage stage;
  int changes_of_first = 0;
  int changes_of_second = 0;
  int changes_of_roots = 0;
  auto first = stage.watch(stage.pair, &changes_of_first);
  auto second = stage.watch(stage.pair, &changes_of_second);
  auto roots = stage.watch(stage.source(stage.roots_name()), &changes_of_roots);
  SvidPtr renewed = stage.ca.issue(stage.entry);

  stage.clock.advance(20s);
  CHECK(changes_of_second == 0);
  stage.write(*renewed);
  stage.clock.advance(5s);

  CHECK(changes_of_first == 2);
  CHECK(changes_of_second == 1);
  CHECK(changes_of_roots == 1);
  CHECK(serial_of(*first) == renewed->leaf().serial());
}

TEST_CASE("a broken or missing file leaves the last good one in its place until a good one comes") {
  Stage stage;
  int changes = 0;
  auto watch = stage.watch(stage.pair, &changes);
  std::string serial = serial_of(*watch);
  SvidPtr renewed = stage.ca.issue(stage.entry);

  SUBCASE("half of a new pair") {
    stage.directory.write("tls.crt", concatenated_pem(renewed->chain()));
  }
  SUBCASE("no PEM") { stage.directory.write("tls.key", "x"); }
  SUBCASE("nothing") { std::filesystem::remove(stage.path("tls.crt")); }
  stage.clock.advance(5s);
  CHECK(serial_of(*watch) == serial);
  CHECK(changes == 1);
  stage.write(*renewed);
  stage.clock.advance(5s);

  CHECK(serial_of(*watch) == renewed->leaf().serial());
  CHECK(changes == 2);
}

TEST_CASE("a file that was never good is absent, with the cause, until it is") {
  Stage stage;
  std::filesystem::remove(stage.path("tls.crt"));
  int changes = 0;

  auto watch = stage.watch(stage.pair, &changes);
  CHECK(watch->answer().state == SecretState::kAbsent);
  CHECK(watch->answer().why == "open " + stage.path("tls.crt") + ": No such file or directory");
  stage.clock.advance(5s);
  CHECK(changes == 1);
  stage.write(*stage.ca.issue(stage.entry));
  stage.clock.advance(5s);

  CHECK(watch->answer().state == SecretState::kPresent);
  CHECK(changes == 2);
}

TEST_CASE("a certificate that ends is handed out no more, but not taken back") {
  Stage stage;
  int changes = 0;
  auto watch = stage.watch(stage.pair, &changes);

  stage.clock.advance(59min);
  CHECK(watch->answer().state == SecretState::kPresent);
  stage.clock.advance(2min);
  CHECK(watch->answer().state == SecretState::kPending);
  CHECK_FALSE(watch->answer().secret);
  CHECK(changes == 2);
  stage.clock.advance(1h);
  CHECK(watch->answer().state == SecretState::kPending);
  stage.write(*stage.ca.issue(stage.entry, stage.clock.now()));
  stage.clock.advance(5s);

  CHECK(watch->answer().state == SecretState::kPresent);
  CHECK(changes == 3);
}

TEST_CASE("files are looked at as long as somebody watches, and no longer") {
  Stage stage;
  auto watch = stage.watch(stage.pair);
  watch.reset();
  stage.workers.hold();

  stage.clock.advance(1h);

  CHECK(stage.workers.queued() == 0);
}

TEST_CASE("a reading that hangs is not joined by others") {
  Stage stage;
  stage.workers.hold();
  auto first = stage.watch(stage.pair);
  auto second = stage.watch(stage.source(stage.roots_name()));

  stage.clock.advance(1h);
  CHECK(stage.workers.queued() == 1);
  first.reset();
  stage.workers.release();

  CHECK(second->answer().state == SecretState::kPresent);
}

TEST_CASE("a reading that ends after everybody has left is dropped") {
  FakeClock clock;
  InlineWorkers workers;
  FileRig rig;
  workers.hold();
  {
    SecretFiles files(clock, workers);
    REQUIRE(files.watch(rig.source(rig.pair_name()), [] { FAIL("told after its end"); }));
  }

  CHECK(workers.run_one());
}

TEST_CASE("a watcher may end itself and others when it is told") {
  Stage stage;
  std::vector<std::unique_ptr<FileWatch>> watches;
  int told = 0;
  stage.workers.hold();
  watches.reserve(3);
  for (int i = 0; i < 3; ++i) {
    watches.push_back(*stage.files.watch(stage.pair, [&] {
      ++told;
      watches.clear();
    }));
  }

  stage.workers.release();

  CHECK(told == 1);
}

TEST_CASE("of one directory only so many files are watched, of another still some") {
  Stage stage;
  TemporaryDirectory other;
  std::vector<std::unique_ptr<FileWatch>> watches;
  auto source = [](const std::filesystem::path& directory, int i) {
    return FileSource{{directory, "file" + std::to_string(i)}, std::nullopt};
  };
  watches.reserve(256);
  for (int i = 0; i < 256; ++i) watches.push_back(stage.watch(source(stage.directory.path(), i)));

  auto refused = stage.files.watch(source(stage.directory.path(), 256), [] {});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::kResourceExhausted);
  CHECK(refused.error().message ==
        stage.directory.path().string() + ": more than 256 files in it are asked for");
  CHECK(stage.files.watch(source(stage.directory.path(), 7), [] {}));
  CHECK(stage.files.watch(source(other.path(), 0), [] {}));
}

}  // namespace
}  // namespace nodepilot
