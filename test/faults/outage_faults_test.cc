// A CA that is not there when it is needed: what time does to that, on a clock that we move.
#include <doctest/doctest.h>

#include "test/rotation/rig.h"

namespace nodepilot {
namespace {

TEST_CASE("fault 02: the SVID is served to its end, to new streams too, and then withdrawn") {
  Rig rig;
  auto watcher = rig.watch(0);
  const std::string serial = watcher->serial();
  const Time end = watcher->now().svids.front().svid->validity().not_after;

  rig.ca.fail_with(Code::kUnavailable);
  rig.clock.advance(end - rig.clock.now());
  auto newcomer = rig.watch(0);

  CHECK(rig.ca.signs() > 10);
  CHECK(watcher->serial() == serial);
  CHECK(newcomer->serial() == serial);
  CHECK(rig.store.state("e0").failure->message == "fake CA: told to fail");

  rig.clock.advance(seconds(1));

  CHECK(watcher->now().svids.empty());
}

TEST_CASE("fault 02: others of the same CA are renewed on time while one is refused") {
  Rig rig(2);
  auto refused = rig.watch(0);
  auto other = rig.watch(1);
  const std::string first = other->serial();

  rig.ca.refuse("spiffe://td/0");
  rig.clock.advance(minutes(34));

  CHECK(other->serial() != first);
  CHECK(rig.rotator.failures("e1") == 0);
  CHECK(rig.rotator.failures("e0") > 0);
}

}  // namespace
}  // namespace nodepilot
