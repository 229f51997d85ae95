#include "agent/rules_text.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

namespace nodepilot {
namespace {

EntrySet rules() {
  auto rule = [](const std::string& id, const Selectors& match) {
    return Entry{.id = id,
                 .spiffe_id = *SpiffeId::parse("spiffe://td/" + id),
                 .match = match,
                 .dns_names = {},
                 .hint = ""};
  };
  return EntrySet({rule("web", {{"unix", "uid:1"}}), rule("db", {{"unix", "uid:2"}})});
}

TEST_CASE("each rule has a line that tells its verdict") {
  CHECK(verdicts_text(rules().explain({{"unix", "uid:2"}})) ==
        "rule web  MISS   wants unix:uid:1, found unix:uid:2\n"
        "rule db   MATCH  spiffe://td/db\n"
        "result: 1 identity\n");
  CHECK(verdicts_text(rules().explain({{"unix", "uid:3"}})).ends_with("result: no identity\n"));
}

TEST_CASE("what a caller made up cannot move the cursor") {
  auto text = verdicts_text(rules().explain({{"unix", "uid:\x1b[2J"}}));

  CHECK(text.find('\x1b') == std::string::npos);
}

TEST_CASE("programs get the same with stable keys") {
  auto json = nlohmann::json::parse(verdicts_json(rules().explain({{"unix", "uid:2"}})));

  CHECK(json["version"] == 1);
  REQUIRE(json["rules"].size() == 2);
  CHECK(json["rules"][0]["rule"] == "web");
  CHECK(json["rules"][0]["granted"].is_null());
  CHECK(json["rules"][0]["miss"] == "wants unix:uid:1, found unix:uid:2");
  CHECK(json["rules"][1]["granted"] == "spiffe://td/db");
  CHECK(json["rules"][1]["miss"].is_null());
}

}  // namespace
}  // namespace nodepilot
