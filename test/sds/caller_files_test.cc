#include "sds/caller_files.h"

#include <doctest/doctest.h>

#include "test/sds/file_kit.h"

namespace nodepilot {
namespace {

using testing::FileRig;
using testing::make_entry;
using namespace std::chrono_literals;

struct Stage : FileRig {
  Stage()
      : files(clock, workers),
        granted{std::make_shared<const Entry>(entry)},
        caller(files, options, [this] { ++changes; }) {}

  FakeClock clock;
  InlineWorkers workers;
  SecretFiles files;
  SecretOptions options;
  std::vector<EntryPtr> granted;
  int changes = 0;
  CallerFiles caller;
};

TEST_CASE("of what a caller asks for the names of files are answered and no others") {
  Stage stage;

  CHECK(stage.caller.ask({"default", "file-x", "filed", stage.pair_name(), stage.roots_name()},
                         stage.granted));

  auto answers = stage.caller.answers();
  CHECK(answers.size() == 2);
  CHECK(answers[stage.pair_name()].state == SecretState::kPresent);
  CHECK(answers[stage.roots_name()].state == SecretState::kPresent);
}

TEST_CASE("asking for the same again changes nothing") {
  Stage stage;
  stage.caller.ask({stage.pair_name()}, stage.granted);

  CHECK_FALSE(stage.caller.ask({stage.pair_name(), "default"}, stage.granted));
  CHECK(stage.caller.ask({"default"}, stage.granted));
  CHECK(stage.caller.answers().empty());
  CHECK_FALSE(stage.caller.ask({"default"}, stage.granted));
}

TEST_CASE("without a grant a name is absent, with the cause") {
  Stage stage;
  std::vector<EntryPtr> none{std::make_shared<const Entry>(make_entry("db"))};

  CHECK(stage.caller.ask({stage.pair_name()}, none));

  FileAnswer answer = stage.caller.answers()[stage.pair_name()];
  CHECK(answer.state == SecretState::kAbsent);
  CHECK(answer.why.find("no entry of this caller grants") == 0);
}

TEST_CASE("a grant that is taken away or given counts at once") {
  Stage stage;
  std::vector<EntryPtr> none{std::make_shared<const Entry>(make_entry("db"))};
  auto state = [&] { return stage.caller.answers()[stage.pair_name()].state; };
  stage.caller.ask({stage.pair_name()}, stage.granted);

  CHECK(stage.caller.ask({stage.pair_name()}, none));
  CHECK(state() == SecretState::kAbsent);
  CHECK(stage.caller.ask({stage.pair_name()}, stage.granted));
  CHECK(state() == SecretState::kPresent);
}

TEST_CASE("a file that changes is told") {
  Stage stage;
  stage.caller.ask({stage.pair_name()}, stage.granted);
  stage.changes = 0;

  stage.write(*stage.ca.issue(stage.entry));
  stage.clock.advance(5s);

  CHECK(stage.changes == 1);
}

TEST_CASE("the operating system's roots can be switched off") {
  Stage stage;
  stage.options.system_roots = false;
  CallerFiles caller(stage.files, stage.options, [] {});

  caller.ask({"file-root:system"}, stage.granted);

  CHECK(caller.answers()["file-root:system"].why == "`sds.system_roots` is off");
}

}  // namespace
}  // namespace nodepilot
