// What is published, and when, by a clock of our own.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>

#include "rotation/ca/jwt_keyring.h"
#include "test/rotation/rig.h"

namespace nodepilot {
namespace {

using std::chrono::days;

// The longest refresh_hint that may be configured.
constexpr Duration kLongestInterval = hours(1);

// What becomes of the keys of a ring that is looked at every minute for ten days.
struct KeyLives {
  KeyLives() {
    FakeClock clock;
    JwtKeyring ring = JwtKeyring::start(clock.now(), {}).value();
    first = ring.signer(clock.now()).key_id();
    for (Time end = clock.now() + days(10); clock.now() < end; clock.advance(minutes(1))) {
      ring = ring.turned(clock.now()).value().value_or(ring);
      for (const JwtAuthority& authority : ring.authorities()) {
        published.try_emplace(authority.key_id(), clock.now());
        last_published[authority.key_id()] = clock.now();
      }
      std::string signer = ring.signer(clock.now()).key_id();
      signed_first.try_emplace(signer, clock.now());
      signed_last[signer] = clock.now();
    }
    now = clock.now();
  }
  std::string first;  // nobody can have asked for it before
  std::map<std::string, Time> published, last_published, signed_first, signed_last;
  Time now;
};

TEST_CASE("FED-19 + a key is published five refresh intervals before it signs") {
  KeyLives lives;

  CHECK(lives.signed_first.size() > 8);
  for (const auto& [key, begin] : lives.signed_first) {
    if (key != lives.first) CHECK(begin - lives.published.at(key) >= 5 * kLongestInterval);
  }
}

TEST_CASE("FED-19 + a key stays published until nothing that it signed is valid, then it goes") {
  KeyLives lives;

  std::size_t gone = 0;
  for (const auto& [key, end] : lives.signed_last) {
    if (lives.last_published.at(key) + minutes(2) > lives.now) continue;
    CHECK(lives.last_published.at(key) - end >= JwtKeyring::Policy{}.longest_token);
    ++gone;
  }
  CHECK(gone > 5);
}

TEST_CASE("FED-19 - no leaf is shown before its new root is published") {
  Rig rig;
  auto watcher = rig.watch(0);
  rig.ca.change_root();

  auto outcome = rig.rotate(0);

  REQUIRE(outcome->has_value());
  REQUIRE_FALSE((*outcome)->error);
  CHECK(watcher->updates.size() >= 2);
  for (const UpdatePtr& update : watcher->updates) {
    for (const HeldSvid& held : update->svids) {
      CHECK(verify_peer_chain(held.svid->chain(), *update->bundle, rig.clock.now()));
    }
  }
}

TEST_CASE("FED-19 - a root whose SVIDs are in use is not withdrawn") {
  Rig rig;
  auto watcher = rig.watch(0);
  Certificate old_root = rig.ca.root();
  auto holds_old = [&] {
    const auto& roots = rig.store.bundle()->roots();
    return std::find(roots.begin(), roots.end(), old_root) != roots.end();
  };

  rig.ca.change_root();
  rig.clock.advance(minutes(2));
  CHECK(rig.store.bundle()->roots().size() == 2);
  CHECK(holds_old());
  rig.clock.advance(hours(2));

  CHECK_FALSE(holds_old());
}

}  // namespace
}  // namespace nodepilot
