#include "rotation/outputs/hook_sequence.h"

#include <doctest/doctest.h>

#include "test/outputs/fake_hooks.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;
using Runs = std::vector<std::string>;

Hook make_hook(const char* name, int tries = 3) {
  return {.action = ReloadHook{name}, .timeout = 30s, .tries = tries, .delay = 1s};
}

struct SequenceRig {
  FakeClock clock;
  InlineWorkers workers;
  FakeHooks runner;
  HookSequence hooks{clock,
                     workers,
                     runner,
                     {make_hook("a.service"), make_hook("b.service")},
                     {"spiffe://td/web", "/etc/web"},
                     [this] { ++done; }};
  int done = 0;
};

TEST_CASE("hooks run in order after each set") {
  SequenceRig rig;
  CHECK(rig.runner.runs.empty());

  rig.hooks.begin();
  rig.hooks.begin();

  CHECK(rig.runner.runs ==
        Runs{"reload a.service", "reload b.service", "reload a.service", "reload b.service"});
  CHECK_FALSE(rig.hooks.error());
}

TEST_CASE("a hook that fails is tried again, later and later, before the next has its turn") {
  SequenceRig rig;
  rig.runner.failures["reload a.service"] = 2;

  rig.hooks.begin();
  CHECK(rig.runner.runs.size() == 1);
  CHECK(rig.done == 0);
  CHECK(rig.hooks.error()->message == "reload a.service: told to fail");
  rig.clock.advance(999ms);
  CHECK(rig.runner.runs.size() == 1);
  rig.clock.advance(1ms);
  CHECK(rig.runner.runs.size() == 2);
  rig.clock.advance(1999ms);
  CHECK(rig.runner.runs.size() == 2);
  rig.clock.advance(1ms);

  CHECK(rig.runner.runs ==
        Runs{"reload a.service", "reload a.service", "reload a.service", "reload b.service"});
  CHECK_FALSE(rig.hooks.error());
}

TEST_CASE("when its tries are used up the next has its turn, and the error stays to be seen") {
  SequenceRig rig;
  rig.runner.failures["reload a.service"] = 100;

  rig.hooks.begin();
  rig.clock.advance(1h);

  CHECK(rig.runner.runs ==
        Runs{"reload a.service", "reload a.service", "reload a.service", "reload b.service"});
  CHECK(rig.hooks.error()->message == "reload a.service: told to fail");

  rig.runner.failures.clear();
  rig.hooks.begin();
  CHECK_FALSE(rig.hooks.error());
}

TEST_CASE("the pause between tries grows to five minutes and no further") {
  FakeClock clock;
  InlineWorkers workers;
  FakeHooks runner;
  runner.failures["reload a.service"] = 100;
  HookSequence hooks(clock, workers, runner, {make_hook("a.service", 20)}, {}, [] {});

  hooks.begin();
  clock.advance(10min);
  std::size_t runs = runner.runs.size();
  clock.advance(20min);

  CHECK(runner.runs.size() == runs + 4);
}

TEST_CASE("a newer set does not wait for the retries of an older one") {
  SequenceRig rig;
  rig.runner.failures["reload a.service"] = 1;
  rig.hooks.begin();
  CHECK(rig.runner.runs.size() == 1);

  rig.hooks.begin();

  CHECK(rig.runner.runs.size() == 3);
  rig.clock.advance(1h);
  CHECK(rig.runner.runs.size() == 3);
}

TEST_CASE("sets that come while a hook runs are told of once, from the first hook on") {
  SequenceRig rig;
  rig.workers.hold();
  rig.hooks.begin();
  rig.hooks.begin();
  rig.hooks.begin();
  CHECK(rig.workers.queued() == 1);

  rig.workers.release();

  CHECK(rig.runner.runs == Runs{"reload a.service", "reload a.service", "reload b.service"});
  CHECK(rig.done == 1);
}

TEST_CASE("a hook that is done after the sequence has ended touches nothing") {
  FakeClock clock;
  InlineWorkers workers;
  FakeHooks runner;
  {
    HookSequence hooks(clock, workers, runner, {make_hook("a.service")}, {}, [] {});
    workers.hold();
    hooks.begin();
  }

  workers.release();

  CHECK(runner.runs.size() == 1);
}

TEST_CASE("without hooks there is nothing to do") {
  FakeClock clock;
  InlineWorkers workers;
  FakeHooks runner;
  int done = 0;
  HookSequence hooks(clock, workers, runner, {}, {}, [&] { ++done; });

  hooks.begin();

  CHECK(done == 1);
  CHECK(runner.runs.empty());
  CHECK_FALSE(hooks.error());
}

}  // namespace
}  // namespace nodepilot
