// What becomes of the answers of a CA, good and bad.
#include "rotation/rotator.h"

#include <doctest/doctest.h>

#include "test/rotation/rig.h"

namespace nodepilot {
namespace {

TEST_CASE("an answer for another identity is never published") {
  Rig rig;
  rig.ca.answer_with_id("spiffe://td/admin");

  auto watcher = rig.watch(0);
  rig.clock.advance(minutes(5));

  CHECK(watcher->now().svids.empty());
  REQUIRE(watcher->now().missing);
  CHECK(watcher->now().missing->message.find("spiffe://td/admin") != std::string::npos);
  for (const UpdatePtr& update : watcher->updates) CHECK(update->svids.empty());
}

TEST_CASE("an answer that is expired already is never published") {
  Rig rig;
  rig.ca.shorten_life(-minutes(1));
  rig.ca.start_life_at(-hours(1));

  auto watcher = rig.watch(0);

  CHECK(watcher->now().svids.empty());
  CHECK(watcher->now().missing);
}

TEST_CASE("a leaf of a root that the CA does not tell is never published") {
  Rig rig;
  auto watcher = rig.watch(0);
  std::string serial = watcher->serial();
  rig.ca.hide_new_roots();
  rig.ca.change_root();

  auto outcome = rig.rotate(0);
  rig.clock.advance(minutes(5));

  CHECK((*outcome)->error);
  CHECK(watcher->serial() == serial);
  CHECK(rig.store.bundle()->roots().size() == 1);
}

TEST_CASE("a new root reaches watchers before the first leaf of it, and beside the old one") {
  Rig rig(2);
  auto watcher = rig.watch(0);
  auto other = rig.watch(1);
  SvidPtr old_svid = rig.store.svid("e0");
  Certificate old_root = rig.ca.root();
  rig.ca.change_root();

  rig.rotate(0);

  std::vector both{rig.ca.root(), old_root};
  REQUIRE(watcher->updates.size() == 2);
  CHECK(watcher->updates[0]->bundle->roots() == both);
  CHECK(watcher->updates[0]->svids.front().svid == old_svid);
  CHECK(watcher->updates[1]->svids.front().svid != old_svid);
  REQUIRE(other->updates.size() == 1);
  CHECK(other->updates[0]->bundle->roots() == both);
}

TEST_CASE("a leaf whose root was withdrawn while it was issued is not published") {
  Rig rig;
  auto watcher = rig.watch(0);
  watcher->leave();
  rig.ca.start_life_at(seconds(30));
  rig.clock.advance(minutes(2));
  watcher = rig.watch(0);

  rig.ca.change_root();
  rig.store.set_bundle(std::make_shared<const TrustBundle>(rig.ca.bundle().value()));
  rig.ca.fail_with(Code::kUnavailable);
  rig.clock.advance(seconds(40));

  CHECK(watcher->now().svids.empty());
  CHECK(watcher->now().missing);
}

TEST_CASE("an SVID that is not valid yet is held back until it is") {
  Rig rig(2, {.policy = {}, .max_in_flight = 1});
  rig.ca.start_life_at(seconds(30));

  auto watchers = rig.watch_all(2);
  rig.clock.advance(seconds(29));
  CHECK(watchers[0]->now().svids.empty());
  CHECK_FALSE(watchers[0]->now().settled);
  rig.clock.advance(seconds(1));

  CHECK(watchers[0]->now().svids.size() == 1);
  CHECK(watchers[1]->now().svids.size() == 1);
  CHECK(rig.ca.signs() == 2);
}

TEST_CASE("a renewal that is not valid yet leaves the old SVID in place") {
  Rig rig;
  auto watcher = rig.watch(0);
  std::string serial = watcher->serial();
  rig.ca.start_life_at(seconds(30));

  auto outcome = rig.rotate(0);
  rig.clock.advance(seconds(29));
  CHECK(watcher->serial() == serial);
  CHECK_FALSE(*outcome);
  rig.clock.advance(seconds(1));

  CHECK(watcher->serial() != serial);
  CHECK(*outcome);
}

TEST_CASE("a CA that gives very short lives is not asked without pause") {
  Rig rig(1, {.policy = {}, .life = {}});
  rig.ca.shorten_life(seconds(1));

  auto watcher = rig.watch(0);
  rig.clock.advance(minutes(1));

  CHECK(rig.ca.signs() > 10);
  CHECK(rig.ca.signs() <= 121);
}

}  // namespace
}  // namespace nodepilot
