#include "rotation/jwt_svid_cache.h"

#include <doctest/doctest.h>

#include "test/rotation/fake_jwt_signer.h"
#include "test/rotation/rig.h"

namespace nodepilot {
namespace {

using Answer = std::optional<expected<JwtSvid>>;

// The entries e0 and e1, whose tokens live for five minutes.
struct CacheRig {
  CacheRig() : store(clock, make_entries(2)) { publish(); }

  void publish() {
    auto roots = ca.bundle().value().roots();
    auto bundle =
        TrustBundle::create(TrustDomain::parse("td").value(), roots, {signer.authority()});
    store.set_bundle(std::make_shared<const TrustBundle>(bundle.value()));
  }
  std::shared_ptr<Answer> ask(int entry, JwtSvidCache::Audience audience) {
    auto answer = std::make_shared<Answer>();
    cache.fetch(store.entries().find("e" + std::to_string(entry)), std::move(audience),
                [answer](const expected<JwtSvid>& svid) { *answer = svid; });
    return answer;
  }
  // The token; the empty text if there is none.
  std::string token(int entry, JwtSvidCache::Audience audience) {
    auto answer = ask(entry, std::move(audience));
    return *answer && **answer ? (*answer)->value().token : "";
  }
  std::string error(int entry, JwtSvidCache::Audience audience) {
    auto answer = ask(entry, std::move(audience));
    return *answer && !**answer ? (*answer)->error().message : "";
  }

  FakeClock clock;
  InlineWorkers workers;
  FakeCa ca{clock};
  FakeJwtSigner signer{clock};
  IdentityStore store;
  JwtSvidCache cache{clock, workers, signer, store, 3};
};

TEST_CASE("a token is signed once and handed out for half of its life") {
  CacheRig rig;

  std::string first = rig.token(0, {"db"});
  rig.clock.advance(seconds(149));
  std::string second = rig.token(0, {"db"});
  rig.clock.advance(seconds(1));
  std::string third = rig.token(0, {"db"});

  CHECK_FALSE(first.empty());
  CHECK(second == first);
  CHECK(third != first);
  CHECK(rig.signer.signs() == 2);
}

TEST_CASE("each entry and each audience has its own token") {
  CacheRig rig;

  CHECK(rig.token(0, {"db"}) != rig.token(1, {"db"}));
  CHECK(rig.token(0, {"db"}) != rig.token(0, {"db", "web"}));

  CHECK(rig.signer.signs() == 3);
}

TEST_CASE("the order and repetition of audiences do not matter") {
  CacheRig rig;

  CHECK(rig.token(0, {"web", "db"}) == rig.token(0, {"db", "web", "db"}));

  CHECK(rig.signer.signs() == 1);
}

TEST_CASE("equal questions asked while one is being signed share the answer") {
  CacheRig rig;
  rig.workers.hold();

  auto first = rig.ask(0, {"db"});
  auto second = rig.ask(0, {"db"});
  CHECK_FALSE(*first);
  rig.workers.release();

  REQUIRE(*first);
  REQUIRE(*second);
  CHECK((*first)->value().token == (*second)->value().token);
  CHECK(rig.signer.signs() == 1);
}

TEST_CASE("while signing fails a kept token is the answer as long as it is valid") {
  CacheRig rig;
  std::string token = rig.token(0, {"db"});
  rig.signer.fail_with(Code::kUnavailable);

  rig.clock.advance(seconds(299));
  CHECK(rig.token(0, {"db"}) == token);
  rig.clock.advance(seconds(1));

  CHECK(rig.error(0, {"db"}) == "fake JWT signer: told to fail");
}

TEST_CASE("a failure is not remembered") {
  CacheRig rig;
  rig.signer.fail_with(Code::kUnavailable);
  CHECK(rig.token(0, {"db"}).empty());

  rig.signer.recover();

  CHECK_FALSE(rig.token(0, {"db"}).empty());
}

TEST_CASE("a token that our own bundle does not verify is never handed out") {
  CacheRig rig;
  rig.signer.change_key();

  CHECK(rig.error(0, {"db"}).starts_with("the CA's JWT-SVID: "));
  rig.publish();

  CHECK_FALSE(rig.token(0, {"db"}).empty());
}

TEST_CASE("a token for another identity or audience is never handed out") {
  CacheRig rig;

  rig.signer.answer_with_audience({"db"});
  CHECK(rig.error(0, {"db", "web"}) == "the CA's JWT-SVID is not for every audience asked for");
  rig.signer.answer_with_id("spiffe://td/1");

  CHECK(rig.error(0, {"db"}) == "the CA's JWT-SVID is for spiffe://td/1 instead of spiffe://td/0");
}

TEST_CASE("without a bundle nothing is signed") {
  CacheRig rig;
  rig.store.set_bundle(nullptr);

  CHECK(rig.error(0, {"db"}) == "the CA has not told its trust bundle yet");

  CHECK(rig.signer.signs() == 0);
}

TEST_CASE("no more than the given number of tokens is kept, and none that has ended") {
  CacheRig rig;

  for (const char* audience : {"a", "b", "c", "d"}) rig.token(0, {audience});
  CHECK(rig.cache.kept() == 3);
  rig.clock.advance(minutes(6));
  rig.token(0, {"e"});

  CHECK(rig.cache.kept() == 1);
}

TEST_CASE("a token for a giant audience is handed out but not kept") {
  CacheRig rig;
  std::string giant(8000, 'x');

  CHECK_FALSE(rig.token(0, {giant}).empty());
  CHECK_FALSE(rig.token(0, {giant}).empty());

  CHECK(rig.cache.kept() == 0);
  CHECK(rig.signer.signs() == 2);
}

TEST_CASE("an answer that comes after the cache is gone is dropped") {
  CacheRig rig;
  auto cache = std::make_unique<JwtSvidCache>(rig.clock, rig.workers, rig.signer, rig.store);
  rig.workers.hold();
  bool answered = false;
  cache->fetch(rig.store.entries().find("e0"), {"db"},
               [&](const expected<JwtSvid>&) { answered = true; });

  cache.reset();
  rig.workers.release();

  CHECK_FALSE(answered);
}

}  // namespace
}  // namespace nodepilot
