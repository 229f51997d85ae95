#include "sds/caller.h"

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <array>
#include <optional>

namespace nodepilot {
namespace {

using namespace std::chrono_literals;

class FixedAttestor : public Attestor {
 public:
  explicit FixedAttestor(bool is_quick) : is_quick_(is_quick) {}

  const char* name() const override { return "fixed"; }
  bool is_quick() const override { return is_quick_; }
  expected<Selectors> attest(const Peer&) const override { return Selectors{{"fixed", "a"}}; }

 private:
  const bool is_quick_;
};

std::shared_ptr<const Peer> ourselves() {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  Fd theirs(ends[1]);
  return Peer::of_socket(Fd(ends[0]).get()).value();
}

// Does not know yet, until it is told.
class LateAttestor : public Attestor {
 public:
  const char* name() const override { return "late"; }
  bool is_quick() const override { return true; }
  expected<Selectors> attest(const Peer&) const override {
    ++asked;
    if (knows) return Selectors{{"late", "a"}};
    return tl::unexpected<Error>({Code::kUnavailable, "not yet", 500ms});
  }

  bool knows = false;
  mutable int asked = 0;
};

struct Rig {
  Rig() { workers.hold(); }
  auto hear() {
    return [this](const Attestation& answer) {
      found = answer;
      ++heard;
    };
  }
  void identify(CallerIdentifier& callers) { callers.identify(peer, call, hear()); }

  FakeClock clock;
  InlineWorkers workers;
  FixedAttestor quick{true};
  FixedAttestor slow{false};
  LateAttestor late;
  std::shared_ptr<const Peer> peer = ourselves();
  std::shared_ptr<int> call = std::make_shared<int>();
  std::optional<Attestation> found;
  int heard = 0;
};

TEST_CASE("quick attestors answer at once though every worker is busy") {
  Rig rig;
  CallerIdentifier callers(rig.clock, rig.workers, {&rig.quick});

  rig.identify(callers);

  CHECK(rig.workers.queued() == 0);
  REQUIRE(rig.found);
  CHECK(rig.found->selectors == Selectors{{"fixed", "a"}});
}

TEST_CASE("attestors of which one may wait are asked on a worker") {
  Rig rig;
  CallerIdentifier callers(rig.clock, rig.workers, {&rig.quick, &rig.slow});

  rig.identify(callers);

  CHECK_FALSE(rig.found);
  rig.workers.release();
  REQUIRE(rig.found);
  CHECK(rig.found->selectors == Selectors{{"fixed", "a"}});
}

TEST_CASE("who has to be waited for is asked for again until it is known") {
  Rig rig;
  CallerIdentifier callers(rig.clock, rig.workers, {&rig.late});

  rig.identify(callers);
  rig.clock.advance(499ms);
  CHECK(rig.late.asked == 1);
  rig.clock.advance(1s);
  CHECK(rig.late.asked == 3);
  CHECK_FALSE(rig.found);
  rig.late.knows = true;
  rig.clock.advance(500ms);

  REQUIRE(rig.found);
  CHECK(rig.found->selectors == Selectors{{"late", "a"}});
  rig.clock.advance(1h);
  CHECK(rig.late.asked == 4);
  CHECK(rig.heard == 1);
}

TEST_CASE("who waits takes no worker") {
  Rig rig;
  CallerIdentifier callers(rig.clock, rig.workers, {&rig.late, &rig.slow});

  rig.identify(callers);
  rig.workers.run_one();

  CHECK(rig.workers.queued() == 0);
  rig.late.knows = true;
  rig.clock.advance(500ms);
  rig.workers.run_one();
  REQUIRE(rig.found);
  CHECK(rig.found->selectors == Selectors{{"fixed", "a"}, {"late", "a"}});
}

TEST_CASE("the calls of one connection wait together") {
  Rig rig;
  CallerIdentifier callers(rig.clock, rig.workers, {&rig.late});

  for (int i = 0; i < 100; ++i) rig.identify(callers);
  rig.clock.advance(1s);
  CHECK(rig.late.asked == 3);
  rig.late.knows = true;
  rig.clock.advance(500ms);

  CHECK(rig.heard == 100);
}

TEST_CASE("nobody waits for a call that is over") {
  Rig rig;
  CallerIdentifier callers(rig.clock, rig.workers, {&rig.late});
  rig.identify(callers);

  rig.call.reset();
  rig.clock.advance(1h);

  CHECK(rig.late.asked == 2);
  CHECK(rig.heard == 0);
}

TEST_CASE("a clock that is set back holds up nobody who waits") {
  Rig rig;
  CallerIdentifier callers(rig.clock, rig.workers, {&rig.late});
  rig.identify(callers);
  rig.late.knows = true;

  rig.clock.jump(rig.clock.now() - 1h);

  CHECK(rig.heard == 1);
}

TEST_CASE("an answer that comes after the end is heard by nobody") {
  Rig rig;
  auto callers = std::make_unique<CallerIdentifier>(rig.clock, rig.workers, Attestors{&rig.slow});
  rig.identify(*callers);

  callers.reset();
  rig.workers.release();

  CHECK(rig.heard == 0);
}

}  // namespace
}  // namespace nodepilot
