// SPIFFE Federation, the publisher: how keys come and go. What the endpoint does is in
// test_publisher.py.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "rotation/ca/jwt_keyring.h"
#include "test/rotation/rig.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;

// Five times the interval at which others poll by default.
constexpr Duration kAhead = 5 * 5min;

bool has_key(const JwtKeyring& ring, const std::string& key_id) {
  auto keys = ring.authorities();
  return std::any_of(keys.begin(), keys.end(),
                     [&](const JwtAuthority& key) { return key.key_id() == key_id; });
}

}  // namespace

TEST_CASE("FED-19 + a JWT key is published long before it signs, and until its last token ends") {
  const JwtKeyring::Policy policy;
  Time now = FakeClock().now();
  const Time end = now + 24h * 14;
  auto ring = JwtKeyring::start(now, policy).value();
  const std::string first = ring.signer(now).key_id();
  std::map<std::string, Time> published{{first, now - kAhead}};
  std::map<std::string, Time> last_token;

  for (; now < end; now += 5min) {
    if (auto turned = ring.turned(now).value()) ring = *std::move(turned);
    for (const JwtAuthority& key : ring.authorities()) published.emplace(key.key_id(), now);
    const std::string& signer = ring.signer(now).key_id();
    last_token[signer] = now + policy.longest_token;

    CHECK(now - published.at(signer) >= kAhead);
    for (const auto& [key_id, ends] : last_token) CHECK((has_key(ring, key_id) || ends <= now));
  }

  CHECK(last_token.size() > 10);
  CHECK_FALSE(has_key(ring, first));
}

TEST_CASE("FED-19 - no leaf is shown before its new root is published") {
  Rig rig(1);
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

TEST_CASE("FED-19 - an old root is not withdrawn while a valid SVID needs it") {
  Rig rig(2);
  auto watchers = rig.watch_all(2);
  Certificate old_root = rig.ca.root();
  auto is_published = [&] {
    const auto& roots = rig.store.bundle()->roots();
    return std::find(roots.begin(), roots.end(), old_root) != roots.end();
  };
  rig.ca.change_root();
  rig.rotate(0);

  CHECK(is_published());  // number 1 still shows a leaf of it

  rig.rotate(1);
  rig.clock.advance(2h);
  CHECK_FALSE(is_published());
}

}  // namespace nodepilot
