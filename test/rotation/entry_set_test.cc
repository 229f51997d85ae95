#include "rotation/entry_set.h"

#include <doctest/doctest.h>

namespace nodepilot {
namespace {

Entry entry(const std::string& id, const std::string& spiffe_id, const Selectors& match) {
  return {.id = id,
          .spiffe_id = SpiffeId::parse(spiffe_id).value(),
          .match = match,
          .dns_names = {},
          .hint = ""};
}

const Selector kUser{"unix", "uid:1"};
const Selector kGroup{"unix", "gid:2"};

TEST_CASE("an entry matches when all of its selectors hold") {
  EntrySet entries({entry("both", "spiffe://td/both", {kUser, kGroup}),
                    entry("user", "spiffe://td/user", {kUser})});

  CHECK(entries.match({kUser, kGroup}).size() == 2);
  REQUIRE(entries.match({kUser}).size() == 1);
  CHECK(entries.match({kUser}).front()->id == "user");
  CHECK(entries.match({kGroup}).empty());
  CHECK(entries.match({}).empty());
}

TEST_CASE("an entry without selectors matches nobody") {
  EntrySet entries({entry("open", "spiffe://td/open", {})});

  CHECK(entries.match({kUser}).empty());
  CHECK(entries.match({}).empty());
}

TEST_CASE("of several matches with one SPIFFE ID the first stands") {
  EntrySet entries({entry("first", "spiffe://td/web", {kUser}),
                    entry("other", "spiffe://td/db", {kUser}),
                    entry("again", "spiffe://td/web", {kGroup})});

  auto found = entries.match({kUser, kGroup});

  REQUIRE(found.size() == 2);
  CHECK(found[0]->id == "first");
  CHECK(found[1]->id == "other");
}

TEST_CASE("entries are found by their id") {
  EntrySet entries({entry("web", "spiffe://td/web", {kUser})});

  REQUIRE(entries.find("web"));
  CHECK(entries.find("web") == entries.fixed().front());
  CHECK(entries.find("db") == nullptr);
}

const Selector kNs{"k8s", "ns:shop"};
const Selector kSa{"k8s", "sa:web"};

Entry pods(const std::string& path = "/ns/{k8s:ns}/sa/{k8s:sa}") {
  Entry rule = entry("pods", "spiffe://td", {});
  rule.id_template = *IdTemplate::parse(*TrustDomain::parse("td"), path);
  rule.match_any = {{"k8s", "ns"}};
  return rule;
}

TEST_CASE("a template gives each caller the identity that its selectors spell") {
  EntrySet entries({pods()});

  auto web = entries.match({kNs, kSa});
  auto db = entries.match({kNs, {"k8s", "sa:db"}});

  REQUIRE(web.size() == 1);
  REQUIRE(db.size() == 1);
  CHECK(web[0]->spiffe_id.str() == "spiffe://td/ns/shop/sa/web");
  CHECK(db[0]->spiffe_id.str() == "spiffe://td/ns/shop/sa/db");
  CHECK(web[0]->id != db[0]->id);
  CHECK_FALSE(web[0]->id_template);
}

TEST_CASE("a template gives nothing to who lacks what it asks for") {
  EntrySet entries({pods()});

  CHECK(entries.match({kSa}).empty());
  CHECK(entries.match({kNs}).empty());  // no value for {k8s:sa}
  CHECK(entries.match({}).empty());
}

TEST_CASE("a value that fits no path segment refuses the identity, and only that one") {
  EntrySet entries({pods(), entry("user", "spiffe://td/user", {kUser})});

  auto found = entries.match({kNs, {"k8s", "sa:a/b"}, kUser});

  REQUIRE(found.size() == 1);
  CHECK(found[0]->id == "user");
}

TEST_CASE("an asterisk asks for some value of the key, whichever") {
  Entry rule = entry("any", "spiffe://td/any", {});
  rule.match_any = {{"k8s", "ns"}};
  EntrySet entries({rule});

  CHECK(entries.match({kNs}).size() == 1);
  CHECK(entries.match({kSa}).empty());
}

TEST_CASE("templates are no fixed identities, but rules") {
  EntrySet entries({pods(), entry("user", "spiffe://td/user", {kUser})});

  CHECK(entries.rules().size() == 2);
  REQUIRE(entries.fixed().size() == 1);
  CHECK(entries.fixed()[0]->id == "user");
  CHECK(entries.find("pods") == nullptr);
}

TEST_CASE("what a template once gave is found again by its SPIFFE ID") {
  EntrySet entries({pods(), entry("user", "spiffe://td/user", {kUser})});
  auto given = entries.match({kNs, kSa}).at(0);

  auto made = entries.made_from_templates(given->spiffe_id);

  REQUIRE(made.size() == 1);
  CHECK(made[0]->id == given->id);
  CHECK(entries.made_from_templates(*SpiffeId::parse("spiffe://td/user")).empty());
}

TEST_CASE("each rule tells whether it grants, or the first thing that is missing") {
  EntrySet entries({entry("user", "spiffe://td/user", {kUser}),
                    entry("other", "spiffe://td/other", {{"unix", "uid:2"}}),
                    entry("label", "spiffe://td/label", {{"k8s", "pod-label:app:web"}}), pods(),
                    entry("again", "spiffe://td/user", {kUser})});

  auto verdicts = entries.explain({kUser, kNs, {"k8s", "sa:a/b"}, {"k8s", "pod-label:app:db"}});

  REQUIRE(verdicts.size() == 5);
  REQUIRE(verdicts[0].granted);
  CHECK(verdicts[0].granted->str() == "spiffe://td/user");
  CHECK_FALSE(verdicts[1].granted);
  CHECK(verdicts[1].miss == "wants unix:uid:2, found unix:uid:1");
  CHECK(verdicts[2].miss == "wants k8s:pod-label:app:web, found k8s:pod-label:app:db");
  CHECK_FALSE(verdicts[3].granted);
  CHECK(verdicts[3].miss.starts_with(R"({k8s:sa} is "a/b")"));
  CHECK(verdicts[4].miss == "an earlier rule gives spiffe://td/user");
}

TEST_CASE("a rule that misses everything of a kind says so") {
  EntrySet entries({entry("unit", "spiffe://td/unit", {{"systemd", "id:nginx.service"}}), pods()});

  auto verdicts = entries.explain({kUser});

  REQUIRE(verdicts.size() == 2);
  CHECK(verdicts[0].miss == "wants systemd:id:nginx.service, found none of this kind");
  CHECK(verdicts[1].miss == "wants k8s:ns:*, found none");
}

}  // namespace
}  // namespace nodepilot
