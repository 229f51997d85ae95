// Identities that templates give: made when somebody comes, gone when nobody is left.
#include <doctest/doctest.h>

#include "test/rotation/rig.h"

namespace nodepilot {
namespace {

Entry user_template() {
  Entry rule = make_entry(0);
  rule.id = "users";
  rule.match = {};
  rule.match_any = {{"unix", "user"}};
  rule.spiffe_id = *SpiffeId::parse("spiffe://td");
  rule.id_template = *IdTemplate::parse(*TrustDomain::parse("td"), "/user/{unix:user}");
  return rule;
}

Selectors user(const std::string& name) { return {{"unix", "user:" + name}}; }

struct TemplateRig : Rig {
  TemplateRig() : Rig(EntrySet({user_template(), make_entry(7)}), {}, [] { return 0.5; }) {}
};

TEST_CASE("each caller of a template gets an SVID of its own") {
  TemplateRig rig;

  Watcher ann(rig.store, user("ann"));
  Watcher bob(rig.store, user("bob"));

  REQUIRE(ann.now().svids.size() == 1);
  REQUIRE(bob.now().svids.size() == 1);
  CHECK(ann.now().svids[0].svid->id().str() == "spiffe://td/user/ann");
  CHECK(bob.now().svids[0].svid->id().str() == "spiffe://td/user/bob");
  CHECK(rig.ca.signs() == 2);
}

TEST_CASE("two callers with one value share one identity") {
  TemplateRig rig;

  Watcher first(rig.store, user("ann"));
  Watcher second(rig.store, user("ann"));

  CHECK(rig.ca.signs() == 1);
  CHECK(first.serial() == second.serial());
  CHECK(first.now().entries == second.now().entries);
}

TEST_CASE("what a template gave is listed after the fixed identities while it is in use") {
  TemplateRig rig;
  CHECK(rig.store.identities().size() == 1);

  Watcher ann(rig.store, user("ann"));

  auto listed = rig.store.identities();
  REQUIRE(listed.size() == 2);
  CHECK(listed[0]->id == "e7");
  CHECK(listed[1]->spiffe_id.str() == "spiffe://td/user/ann");
  CHECK(rig.store.find(listed[1]->id) == listed[1]);
}

TEST_CASE("it is renewed like any other, and forgotten when its grace is over") {
  TemplateRig rig;
  Watcher ann(rig.store, user("ann"));
  std::string id = ann.now().entries[0]->id;
  std::string first = ann.serial();

  rig.clock.advance(minutes(31));
  CHECK(ann.serial() != first);
  ann.leave();
  CHECK(rig.store.svid(id));
  rig.clock.advance(minutes(2));

  CHECK(rig.store.find(id) == nullptr);
  CHECK(rig.store.svid(id) == nullptr);
  CHECK(rig.store.identities().size() == 1);
  std::size_t signs = rig.ca.signs();
  rig.clock.advance(hours(3));
  CHECK(rig.ca.signs() == signs);
}

TEST_CASE("who comes back later gets it anew") {
  TemplateRig rig;
  { Watcher ann(rig.store, user("ann")); }
  rig.clock.advance(minutes(2));

  Watcher again(rig.store, user("ann"));

  CHECK(again.now().svids.size() == 1);
  CHECK(rig.ca.signs() == 2);
}

TEST_CASE("who only watches trust needs no place in the store") {
  TemplateRig rig;

  Watcher ann(rig.store, user("ann"), Interest::kBundles);

  CHECK(ann.now().entitled);
  CHECK(ann.now().svids.empty());
  CHECK(rig.store.identities().size() == 1);
  ann.leave();
}

TEST_CASE("a forced rotation outlives the last caller of the identity") {
  TemplateRig rig;
  Watcher ann(rig.store, user("ann"));
  EntryPtr entry = ann.now().entries[0];
  rig.workers.hold();
  std::optional<RotationOutcome> outcome;
  rig.rotator.rotate(entry->id, [&](const RotationOutcome& done) { outcome = done; });

  ann.leave();
  rig.clock.advance(minutes(5));
  rig.workers.release();

  REQUIRE(outcome);
  CHECK(outcome->fresh);
  rig.clock.advance(minutes(5));
  CHECK(rig.store.find(entry->id) == nullptr);
}

TEST_CASE("a failed issue of one leaves the others alone") {
  TemplateRig rig;
  Watcher ann(rig.store, user("ann"));
  rig.ca.fail_with(Code::kUnavailable);

  Watcher bob(rig.store, user("bob"));
  CHECK(bob.now().missing);
  CHECK(ann.now().svids.size() == 1);
  bob.leave();
  rig.clock.advance(minutes(5));

  CHECK(rig.store.identities().size() == 2);
  CHECK(ann.now().svids.size() == 1);
}

}  // namespace
}  // namespace nodepilot
