#include "sds/caller.h"

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <array>
#include <optional>

namespace nodepilot {
namespace {

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

struct Rig {
  Rig() { workers.hold(); }
  auto hear() {
    return [this](Attestation answer) { found = std::move(answer.selectors); };
  }

  InlineWorkers workers;
  FixedAttestor quick{true};
  FixedAttestor slow{false};
  std::optional<expected<Selectors>> found;
};

TEST_CASE("quick attestors answer at once though every worker is busy") {
  Rig rig;
  CallerIdentifier callers(rig.workers, {&rig.quick});

  callers.identify(ourselves(), rig.hear());

  CHECK(rig.workers.queued() == 0);
  REQUIRE(rig.found);
  CHECK(*rig.found == Selectors{{"fixed", "a"}});
}

TEST_CASE("attestors of which one may wait are asked on a worker") {
  Rig rig;
  CallerIdentifier callers(rig.workers, {&rig.quick, &rig.slow});

  callers.identify(ourselves(), rig.hear());

  CHECK_FALSE(rig.found);
  rig.workers.release();
  REQUIRE(rig.found);
  CHECK(*rig.found == Selectors{{"fixed", "a"}});
}

}  // namespace
}  // namespace nodepilot
