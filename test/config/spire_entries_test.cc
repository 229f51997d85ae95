#include "agent/config/spire_entries.h"

#include <doctest/doctest.h>

#include "agent/config/config.h"

namespace nodepilot {
namespace {

// One entry as SPIRE prints it.
std::string entry(const std::string& path, const std::string& selectors) {
  return R"({"id": "e1", "spiffe_id": {"trust_domain": "td", "path": ")" + path +
         R"("}, "parent_id": {"trust_domain": "td", "path": "/spire/agent"}, "selectors": [)" +
         selectors + R"(], "x509_svid_ttl": 0, "jwt_svid_ttl": 0, "federates_with": [],
         "admin": false, "downstream": false, "expires_at": "0", "dns_names": [],
         "revision_number": "7", "store_svid": false})";
}

std::string selector(const std::string& type, const std::string& value) {
  return R"({"type": ")" + type + R"(", "value": ")" + value + R"("})";
}

std::string with(std::string json, const std::string& text, const std::string& instead) {
  return json.replace(json.find(text), text.size(), instead);
}

const std::string kUid = selector("unix", "uid:1000");

std::string list(const std::string& entries) {
  return R"({"entries": [)" + entries + R"(], "next_page_token": ""})";
}

ImportedEntries import(const std::string& entries) {
  auto imported = import_spire_entries(list(entries));
  REQUIRE(imported);
  return *imported;
}

TEST_CASE("an entry of SPIRE's is a rule of ours") {
  auto imported = import(entry("/web", kUid + "," + selector("k8s", "ns:shop")));

  CHECK(imported.left_out.empty());
  CHECK(imported.remarks.empty());
  REQUIRE(imported.entries.size() == 1);
  CHECK(imported.entries[0].spiffe_id.str() == "spiffe://td/web");
  CHECK(imported.entries[0].match == Selectors{{"unix", "uid:1000"}, {"k8s", "ns:shop"}});
}

TEST_CASE("what is printed reads back as what was imported") {
  std::string more = R"json("hint": "in: #1 \"x\"", "x509_svid_ttl": 600, "jwt_svid_ttl": 90,
                            "dns_names": ["a.example.org"], "federates_with": ["spiffe://other"])json";
  auto json = R"({"entries": [{"spiffe_id": {"trust_domain": "td", "path": "/web"},
                  "selectors": [{"type": "unix", "value": "path:/opt/my: app"}], )" +
              more + "}]}";
  auto imported = import_spire_entries(json);
  REQUIRE(imported);
  REQUIRE(imported->entries.size() == 1);

  auto config = parse_config(
      "trust_domain: td\nfederation:\n  - trust_domain: other\n    url: "
      "https://other/bundle\n    profile: https_web\n" +
          identities_yaml(imported->entries),
      "a");

  REQUIRE(config);
  REQUIRE(config->entries.size() == 1);
  const Entry& read = config->entries[0];
  const Entry& made = imported->entries[0];
  CHECK(read.spiffe_id == made.spiffe_id);
  CHECK(read.match == made.match);
  CHECK(read.hint == made.hint);
  CHECK(read.ttl == std::chrono::seconds(600));
  CHECK(read.jwt_ttl == std::chrono::seconds(90));
  CHECK(read.dns_names == made.dns_names);
  CHECK(read.federates_with == made.federates_with);
}

TEST_CASE("lives of zero are left to the defaults") {
  auto yaml = identities_yaml(import(entry("/web", kUid)).entries);

  CHECK(yaml == "identities:\n  - id: \"spiffe://td/web\"\n    match: [\"unix:uid:1000\"]\n");
}

TEST_CASE("entries that differ in their parent alone are one rule") {
  CHECK(import(entry("/web", kUid) + "," + entry("/web", kUid)).entries.size() == 1);
  CHECK(import(entry("/web", kUid) + "," + entry("/db", kUid)).entries.size() == 2);
}

TEST_CASE("an entry that cannot be a rule is named, with the reason, and costs no other") {
  struct Case {
    std::string entry;
    const char* why;
  };
  for (const Case& one : std::vector<Case>{
           {entry("/a", selector("aws_iid", "tag:x")), "unknown selector type"},
           {entry("/a", ""), "has no selectors"},
           {entry("", kUid), "must have a path"},
           {with(entry("/a", kUid), R"("admin": false)", R"("admin": true)"), "admin"},
           {entry("/a", selector("k8s", "pod-label:app:*")), "stands for itself"},
           {entry("/a", kUid + "," + selector("unix", "uid:1")), "can never hold"},
           {R"({"id": "e1", "selectors": []})", "has no spiffe_id"},
           {R"({"id": "e1", "spiffe_id": {"trust_domain": 7}})", "not what it should be"},
           {"7", "is no object"}}) {
    CAPTURE(one.entry);
    auto imported = import(entry("/web", kUid) + "," + one.entry);
    CHECK(imported.entries.size() == 1);
    REQUIRE(imported.left_out.size() == 1);
    CHECK(imported.left_out[0].starts_with("entry"));
    CHECK(imported.left_out[0].find(one.why) != std::string::npos);
  }
}

TEST_CASE("one configuration has one trust domain") {
  auto other = with(entry("/a", kUid), "\"td\"", "\"td2\"");

  auto imported = import(entry("/web", kUid) + "," + other);

  CHECK(imported.entries.size() == 1);
  REQUIRE(imported.left_out.size() == 1);
  CHECK(imported.left_out[0].find("another trust domain") != std::string::npos);
}

TEST_CASE("what means less here than there is remarked on") {
  auto json = with(entry("/web", kUid), R"("expires_at": "0")", R"("expires_at": "1552410266")");
  json = with(json, R"("federates_with": [])", R"("federates_with": ["other"])");

  auto imported = import(json);

  REQUIRE(imported.remarks.size() == 2);
  CHECK(imported.remarks[0].find("do not expire") != std::string::npos);
  CHECK(imported.remarks[1].find("needs other under federation") != std::string::npos);
}

TEST_CASE("anything but such a list is refused with what it should be") {
  for (const char* text :
       {"", "[]", "{}", R"({"entries": {}})", "Found 1 entry", "{\"entries\": [}"}) {
    CAPTURE(text);
    auto imported = import_spire_entries(text);
    REQUIRE_FALSE(imported);
    CHECK(imported.error().code == Code::kInvalidArgument);
  }
}

}  // namespace
}  // namespace nodepilot
