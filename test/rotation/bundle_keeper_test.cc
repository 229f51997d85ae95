#include "rotation/bundle_keeper.h"

#include <doctest/doctest.h>

#include "rotation/pki/jwt_svid.h"
#include "test/rotation/rig.h"

namespace nodepilot {
namespace {

struct KeeperRig {
  KeeperRig() : store(clock, make_entries(2)) {}

  std::vector<Certificate> roots() const { return store.bundle()->roots(); }
  // Supplies entry `number` with a leaf of the CA's present root.
  void supply(int number) {
    Entry entry = make_entry(number);
    auto issued = issue(ca, entry, ca.bundle().value(), clock).value();
    REQUIRE(store.install(entry.id, std::make_shared<const X509Svid>(issued.svid)));
  }

  FakeClock clock;
  InlineWorkers workers;
  FakeCa ca{clock};
  IdentityStore store;
  BundleKeeper keeper{clock, workers, ca, store, {}, minutes(1), [] { return 0.5; }};
};

TEST_CASE("the bundle is asked for until the CA tells it") {
  KeeperRig rig;
  rig.ca.fail_with(Code::kUnavailable);

  rig.keeper.fetch();
  CHECK(rig.store.bundle() == nullptr);
  REQUIRE(rig.keeper.last_error());
  CHECK(rig.keeper.last_error()->code == Code::kUnavailable);
  rig.clock.advance(minutes(10));
  CHECK(rig.ca.bundle_calls() > 60);
  CHECK(rig.ca.bundle_calls() < 200);
  rig.ca.recover();
  rig.clock.advance(seconds(10));

  CHECK(rig.roots() == std::vector{rig.ca.root()});
  CHECK_FALSE(rig.keeper.last_error());
  CHECK(rig.keeper.last_success());
}

TEST_CASE("a new root is seen within a minute") {
  KeeperRig rig;
  rig.keeper.fetch();
  rig.clock.advance(hours(1));

  rig.ca.change_root();
  rig.clock.advance(minutes(1));

  CHECK(rig.roots() == std::vector{rig.ca.root()});
}

TEST_CASE("JWT keys are told as the CA tells them, beside old roots that are still needed") {
  KeeperRig rig;
  JwtAuthority old_key = JwtSigningKey::generate().value().authority();
  JwtAuthority new_key = JwtSigningKey::generate().value().authority();
  rig.ca.tell_jwt_keys({old_key});
  rig.keeper.fetch();
  CHECK(rig.store.bundle()->jwt_authorities() == std::vector{old_key});
  rig.supply(1);
  Certificate old_root = rig.ca.root();

  rig.ca.change_root();
  rig.ca.tell_jwt_keys({new_key});
  rig.clock.advance(minutes(1));

  CHECK(rig.roots() == std::vector{rig.ca.root(), old_root});
  CHECK(rig.store.bundle()->jwt_authorities() == std::vector{new_key});
}

TEST_CASE("a change of JWT keys alone is published") {
  KeeperRig rig;
  rig.keeper.fetch();
  JwtAuthority key = JwtSigningKey::generate().value().authority();

  rig.ca.tell_jwt_keys({key});
  rig.clock.advance(minutes(1));

  CHECK(rig.store.bundle()->jwt_authorities() == std::vector{key});
}

TEST_CASE("an outage keeps the bundle, and retries slow down") {
  KeeperRig rig;
  rig.keeper.fetch();
  rig.ca.fail_with(Code::kUnavailable);
  std::size_t calls = rig.ca.bundle_calls();

  rig.clock.advance(hours(1));

  CHECK(rig.roots() == std::vector{rig.ca.root()});
  CHECK(rig.ca.bundle_calls() - calls > 40);
  CHECK(rig.ca.bundle_calls() - calls < 70);
}

TEST_CASE("a CA that hangs is not asked twice at a time") {
  KeeperRig rig;
  rig.workers.hold();

  rig.keeper.fetch();
  rig.keeper.fetch();

  CHECK(rig.workers.queued() == 1);
}

TEST_CASE("a withdrawn root stays as long as a served leaf chains to it") {
  KeeperRig rig;
  rig.keeper.fetch();
  rig.supply(0);
  Certificate old_root = rig.ca.root();

  rig.ca.change_root();
  rig.clock.advance(minutes(1));
  CHECK(rig.roots() == std::vector{rig.ca.root(), old_root});
  rig.supply(1);
  rig.clock.advance(minutes(1));
  CHECK(rig.roots() == std::vector{rig.ca.root(), old_root});
  rig.supply(0);
  rig.clock.advance(minutes(1));

  CHECK(rig.roots() == std::vector{rig.ca.root()});
}

TEST_CASE("a withdrawn root goes when the last leaf of it has expired") {
  KeeperRig rig;
  rig.keeper.fetch();
  rig.supply(0);

  rig.ca.change_root();
  rig.clock.advance(hours(1) + minutes(2));

  CHECK(rig.roots() == std::vector{rig.ca.root()});
}

TEST_CASE("of several withdrawn roots only the needed one stays") {
  KeeperRig rig;
  rig.keeper.fetch();
  rig.supply(0);
  Certificate needed = rig.ca.root();

  for (int i = 0; i < 5; ++i) {
    rig.ca.change_root();
    rig.clock.advance(minutes(1));
  }

  CHECK(rig.roots() == std::vector{rig.ca.root(), needed});
}

TEST_CASE("an answer that comes after the keeper's end is dropped") {
  KeeperRig rig;
  rig.workers.hold();
  auto keeper = std::make_unique<BundleKeeper>(rig.clock, rig.workers, rig.ca, rig.store,
                                               RotationPolicy{}, minutes(1), [] { return 0.5; });
  keeper->fetch();

  keeper.reset();
  rig.workers.release();

  CHECK(rig.store.bundle() == nullptr);
}

}  // namespace
}  // namespace nodepilot
