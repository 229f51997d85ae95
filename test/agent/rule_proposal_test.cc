#include "agent/rule_proposal.h"

#include <doctest/doctest.h>

#include "agent/base/files.h"
#include "agent/config/config.h"
#include "test/support/temporary_directory.h"

using namespace nodepilot;

namespace {

Selectors selectors(const std::vector<std::string>& texts) {
  Selectors found;
  for (const std::string& text : texts) found.insert(Selector::parse(text).value());
  return found;
}

std::string yaml_for(const std::vector<std::string>& texts) {
  auto proposal = propose_rule(selectors(texts));
  REQUIRE(proposal);
  std::vector<std::string> match;
  for (const Selector& selector : proposal->match) match.push_back(selector.str());
  return rule_yaml(proposal->id, match, 2);
}

// The configuration with that rule as its only one.
auto configured(const std::string& rule) {
  TemporaryDirectory directory;
  auto file = directory / "agent.yaml";
  REQUIRE(
      write_file_atomic(file, "trust_domain: td\nca: { local: {} }\nidentities:\n" + rule, 0600));
  return load_config(file);
}

}  // namespace

TEST_CASE("the most telling selectors make the rule") {
  std::vector<std::string> found = {"unix:uid:33", "unix:path:/usr/sbin/nginx"};
  CHECK(yaml_for({"unix:uid:33"}) == "  - id: /host/uid-33\n    match: [unix:uid:33]\n");
  CHECK(yaml_for(found) ==
        "  - id: /host/nginx\n    match: [unix:uid:33, unix:path:/usr/sbin/nginx]\n");
  found.emplace_back("systemd:id:web.service");
  CHECK(yaml_for(found) == "  - id: /host/web\n    match: [systemd:id:web.service, unix:uid:33]\n");
  found.emplace_back("k8s:ns:shop");
  CHECK(yaml_for(found).starts_with("  - id: /host/web\n"));
  found.emplace_back("k8s:sa:db");
  CHECK(yaml_for(found) == "  - id: /ns/shop/sa/db\n    match: [k8s:ns:shop, k8s:sa:db]\n");
}

TEST_CASE("where nothing tells the process apart no rule is proposed") {
  CHECK_FALSE(propose_rule({}));
  CHECK_FALSE(propose_rule(selectors({"unix:gid:7", "k8s:ns:shop"})));
}

TEST_CASE("the rule can be pasted into the configuration, whatever the process is called") {
  for (const char* path : {"/usr/sbin/nginx", "/opt/my app/a,b", "/x/{a}: [b] # c", "/x/*",
                           "/x/\"'\\", "/x/...", "/x/\xc3\xa4", "/x/y:", "/x/y (deleted)"}) {
    CAPTURE(path);
    Selectors found = selectors({"unix:uid:33", std::string("unix:path:") + path});

    auto config = configured(yaml_for({"unix:uid:33", std::string("unix:path:") + path}));

    REQUIRE(config);
    REQUIRE(config->entries.size() == 1);
    CHECK(config->entries[0].match == found);
  }
}
