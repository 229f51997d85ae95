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
  CHECK(entries.find("web") == entries.all().front());
  CHECK(entries.find("db") == nullptr);
}

}  // namespace
}  // namespace nodepilot
