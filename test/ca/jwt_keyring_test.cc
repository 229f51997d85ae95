#include "rotation/ca/jwt_keyring.h"

#include <doctest/doctest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "test/pki/test_ca.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;
using test::noon;
using Json = nlohmann::json;

// 24 hours of signing, 6 of notice, tokens of 24 hours at most.
JwtKeyring start() { return JwtKeyring::start(noon(), {}).value(); }

JwtKeyring turn(const JwtKeyring& ring, Time now) {
  return ring.turned(now).value().value_or(ring);
}

std::vector<std::string> ids(const JwtKeyring& ring) {
  std::vector<std::string> all;
  for (const JwtAuthority& authority : ring.authorities()) all.push_back(authority.key_id());
  return all;
}

std::string why(const std::string& json) {
  auto ring = JwtKeyring::parse(json, {});
  if (ring) return "accepted";
  CHECK(ring.error().code == Code::kInvalidArgument);
  return ring.error().message;
}

}  // namespace

TEST_CASE("the first key signs at once") {
  JwtKeyring ring = start();

  REQUIRE(ids(ring).size() == 1);
  CHECK(ring.signer(noon()).key_id() == ids(ring)[0]);
  CHECK_FALSE(ring.turned(noon()).value().has_value());
}

TEST_CASE("a new key is published six hours before it signs") {
  JwtKeyring first = start();
  CHECK_FALSE(first.turned(noon() + 18h - 1s).value().has_value());

  JwtKeyring ring = turn(first, noon() + 18h);

  REQUIRE(ids(ring).size() == 2);
  CHECK(ids(ring)[0] == ids(first)[0]);
  CHECK(ring.signer(noon() + 24h - 1s).key_id() == ids(ring)[0]);
  CHECK(ring.signer(noon() + 24h).key_id() == ids(ring)[1]);
  CHECK_FALSE(ring.turned(noon() + 24h).value().has_value());
}

TEST_CASE("a key that has signed stays until its last token has ended, and a little longer") {
  JwtKeyring ring = turn(start(), noon() + 18h);
  const std::string old = ids(ring)[0];

  ring = turn(ring, noon() + 48h + 5min - 1s);
  CHECK(ids(ring)[0] == old);
  ring = turn(ring, noon() + 48h + 5min);

  CHECK(ids(ring)[0] != old);
}

TEST_CASE("over a month every key is known long before it signs, and gone only when unused") {
  JwtKeyring ring = start();
  std::map<std::string, Time> published{{ids(ring)[0], noon() - 6h}};
  std::map<std::string, Time> signed_last;

  for (Time now = noon(); now < noon() + 24h * 30; now += 1min) {
    ring = turn(ring, now);
    std::vector<std::string> known = ids(ring);
    CHECK(known.size() <= 4);
    for (const std::string& id : known) published.try_emplace(id, now);
    const std::string signer = ring.signer(now).key_id();
    REQUIRE(published.contains(signer));
    CHECK(now - published[signer] >= 6h);
    signed_last[signer] = now;
    for (const auto& [id, last] : signed_last) {
      if (now > last + 24h) continue;
      CHECK(std::find(known.begin(), known.end(), id) != known.end());
    }
  }

  CHECK(published.size() == 31);
}

TEST_CASE("after a long stop the old key signs on until its successor has been known for long") {
  JwtKeyring ring = start();
  const Time later = noon() + 24h * 365;

  ring = turn(ring, later);

  REQUIRE(ids(ring).size() == 2);
  CHECK(ring.signer(later + 6h - 1s).key_id() == ids(ring)[0]);
  CHECK(ring.signer(later + 6h).key_id() == ids(ring)[1]);
}

TEST_CASE("a clock that was years ahead does not delay the next key for years") {
  JwtKeyring ring = turn(start(), noon() + 24h * 3650);

  ring = turn(ring, noon() + 1h);

  REQUIRE(ids(ring).size() == 2);
  CHECK(ring.signer(noon() + 1h).key_id() == ids(ring)[0]);
  CHECK(ring.signer(noon() + 7h).key_id() == ids(ring)[1]);
  CHECK_FALSE(ring.turned(noon() + 1h).value().has_value());
}

TEST_CASE("a clock before every key leaves one that signs") {
  JwtKeyring ring = turn(start(), noon() + 18h);

  CHECK(ring.signer(noon() - 24h * 365).key_id() == ids(ring)[0]);
}

TEST_CASE("what is serialised reads back with keys and turns") {
  JwtKeyring ring = turn(start(), noon() + 18h);

  auto again = JwtKeyring::parse(ring.serialise(), {});

  REQUIRE(again.has_value());
  CHECK(again->authorities() == ring.authorities());
  CHECK(again->serialise() == ring.serialise());
  CHECK(again->signer(noon() + 24h - 1s).key_id() == ids(ring)[0]);
  CHECK(again->signer(noon() + 24h).key_id() == ids(ring)[1]);
}

TEST_CASE("a text cut short anywhere is refused, and no key is quoted") {
  const std::string text = start().serialise();

  for (std::size_t size = 0; size + 1 < text.size(); size += 5) {
    std::string refusal = why(text.substr(0, size));
    CHECK(refusal.starts_with("JSON: malformed"));
  }
}

TEST_CASE("what a ring cannot be is refused") {
  const Json good = Json::parse(turn(start(), noon() + 18h).serialise());
  auto changed = [&](const char* pointer, const Json& value) {
    Json json = good;
    json[Json::json_pointer(pointer)] = value;
    return why(json.dump());
  };
  Json swapped = good;
  std::swap(swapped["keys"][0], swapped["keys"][1]);
  Json many = good;
  for (int i = 0; i < 17; ++i) many["keys"][i] = good["keys"][0];

  CHECK(why(good.dump()) == "accepted");
  CHECK(why("[]") == "JWT keys: not an object with a list of 1 to 16 keys and nothing else");
  CHECK(why(R"({"keys":[]})").find("a list of 1 to 16 keys") != std::string::npos);
  CHECK(why(many.dump()).find("a list of 1 to 16 keys") != std::string::npos);
  CHECK(changed("/more", 1).find("and nothing else") != std::string::npos);
  CHECK(changed("/keys/0", "key").find("private_key and signs_from") != std::string::npos);
  CHECK(changed("/keys/0/more", 1).find("private_key and signs_from") != std::string::npos);
  CHECK(changed("/keys/0/private_key", 1) == "JWT keys: private_key is not a string");
  CHECK(changed("/keys/0/private_key", "x").find("private key: none found") != std::string::npos);
  for (const Json& time : {Json("1"), Json(-1), Json(1.5), Json(253402300800), Json(nullptr)}) {
    CHECK(changed("/keys/0/signs_from", time) == "JWT keys: signs_from is no Unix time");
  }
  CHECK(why(swapped.dump()) == "JWT keys: they are not in the order in which they sign");
  CHECK(changed("/keys/1/private_key", good["keys"][0]["private_key"]) ==
        "JWT keys: one of them is there twice");
  CHECK(why(R"({"keys":[],"keys":[]})").find("given twice") != std::string::npos);
}

}  // namespace nodepilot
