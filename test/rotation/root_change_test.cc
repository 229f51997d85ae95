// A new root is everywhere before the first leaf that needs it, and leaves move to it by and by.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "rotation/pki/issuer.h"
#include "test/rotation/rig.h"

namespace nodepilot {
namespace {

Jitter random_jitter() {
  return [engine = std::mt19937_64(13)]() mutable {
    return std::uniform_real_distribution<double>()(engine);
  };
}

// A client that takes what it is given when it is told to.
struct Stream {
  Stream(Rig& rig, int uid) : watcher(rig.watch(uid)) {
    watcher->subscription->sent_roots();
    take();
  }
  void take() { watcher->subscription->took_roots(watcher->now().bundle); }
  bool has_root(const Certificate& root) const {
    const auto& roots = watcher->now().bundle->roots();
    return std::find(roots.begin(), roots.end(), root) != roots.end();
  }

  std::unique_ptr<Watcher> watcher;
};

TEST_CASE("the first leaf under a new root waits until every stream has taken that root") {
  Rig rig(2);
  Stream web(rig, 0);
  Stream db(rig, 1);
  std::string before = web.watcher->serial();
  rig.ca.change_root();

  auto outcome = rig.rotate(0);
  CHECK(web.has_root(rig.ca.root()));
  CHECK(db.has_root(rig.ca.root()));
  CHECK(web.watcher->serial() == before);
  web.take();
  CHECK_FALSE(outcome->has_value());
  db.take();

  CHECK(outcome->has_value());
  CHECK(web.watcher->serial() != before);
  CHECK(web.watcher->now().svids.front().svid->root() == rig.ca.root());
}

TEST_CASE("a stream that does not take a new root delays its first leaf by five seconds at most") {
  Rig rig(2);
  Stream web(rig, 0);
  Stream mute(rig, 1);
  rig.ca.change_root();

  auto outcome = rig.rotate(0);
  rig.clock.advance(milliseconds(4900));
  CHECK_FALSE(outcome->has_value());
  rig.clock.advance(milliseconds(100));

  CHECK(outcome->has_value());
  CHECK((*outcome)->fresh);
}

TEST_CASE("a stream that leaves is not waited for") {
  Rig rig(2);
  Stream web(rig, 0);
  Stream leaving(rig, 1);
  rig.ca.change_root();
  auto outcome = rig.rotate(0);
  web.take();
  REQUIRE_FALSE(outcome->has_value());

  leaving.watcher->leave();

  CHECK(outcome->has_value());
}

TEST_CASE("streams that are told no roots are not waited for") {
  Rig rig;
  auto certificates_only = rig.watch(0);
  rig.ca.change_root();

  auto outcome = rig.rotate(0);

  CHECK(outcome->has_value());
}

TEST_CASE("a leaf under a known root does not wait while a new one is being taken") {
  Rig rig(2);
  Stream web(rig, 0);
  Stream mute(rig, 1);
  PrivateKey key = PrivateKey::generate().value();
  Validity year{rig.clock.now(), rig.clock.now() + hours(24) * 365};
  Certificate announced = make_root(key, TrustDomain::parse("td").value(), year).value();
  rig.ca.tell_roots({rig.ca.root(), announced});
  rig.clock.advance(minutes(1));
  REQUIRE(web.has_root(announced));

  auto outcome = rig.rotate(0);

  CHECK(outcome->has_value());
}

TEST_CASE("a caller who has nothing waits for a new root to be taken, too") {
  Rig rig(2);
  Stream web(rig, 0);
  rig.ca.change_root();

  auto newcomer = rig.watch(1);
  CHECK(newcomer->now().svids.empty());
  CHECK_FALSE(newcomer->now().settled);
  web.take();

  CHECK(newcomer->now().svids.size() == 1);
}

TEST_CASE(
    "leaves leave a withdrawn root spread over minutes, and it stays until the last is gone") {
  Rig rig(200, {}, random_jitter());
  auto watchers = rig.watch_all(200);
  Certificate old_root = rig.ca.root();
  rig.ca.change_root();

  std::size_t issued = rig.ca.signs();
  std::size_t most = 0;
  for (int step = 0; step < 36; ++step) {
    rig.clock.advance(seconds(10));
    for (const auto& watcher : watchers) {
      CHECK(verify_peer_chain(watcher->now().svids.front().svid->chain(), *watcher->now().bundle,
                              rig.clock.now()));
    }
    most = std::max(most, rig.ca.signs() - std::exchange(issued, rig.ca.signs()));
  }
  rig.clock.advance(minutes(2));

  CHECK(most < 20);  // about 7 in ten seconds on average
  CHECK(rig.ca.signs() == 400);
  CHECK(watchers.front()->now().bundle->roots() == std::vector{rig.ca.root()});
}

TEST_CASE("when the CA signs with another of its roots, the other leaves follow") {
  Rig rig(100, {}, random_jitter());
  auto watchers = rig.watch_all(100);
  rig.ca.change_root();
  rig.ca.tell_all_roots();
  rig.clock.advance(minutes(2));
  REQUIRE(rig.ca.signs() == 100);

  rig.rotate(0);
  rig.clock.advance(minutes(5));

  CHECK(rig.ca.signs() == 200);
  for (const auto& watcher : watchers) {
    CHECK(watcher->now().svids.front().svid->root() == rig.ca.root());
  }
}

TEST_CASE("two roots that sign by turns do not make leaves chase each other") {
  Rig rig(50, {}, random_jitter());
  auto watchers = rig.watch_all(50);
  rig.ca.change_root();
  rig.ca.tell_all_roots();
  rig.rotate(0);
  rig.clock.advance(minutes(6));
  std::size_t signs = rig.ca.signs();

  rig.ca.sign_with_older_root();
  rig.rotate(1);
  rig.clock.advance(minutes(6));

  CHECK(rig.ca.signs() == signs + 1);
}

}  // namespace
}  // namespace nodepilot
