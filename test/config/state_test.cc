#include "agent/config/state.h"

#include <doctest/doctest.h>

#include "agent/config/config.h"
#include "test/config/mistakes.h"

namespace nodepilot {
namespace {

// Line 5 is `state: ...`; `entry` is more of the identity in line 3.
std::string with(const std::string& state, const std::string& entry = "") {
  return "trust_domain: example.org\n"
         "identities:\n"
         "  - {id: /web, match: [unix:uid:1]" +
         entry +
         "}\n"
         "state_dir: /state\n"
         "state: " +
         state + "\n";
}

std::string errors_of(const std::string& yaml) { return mistakes_in(parse_config(yaml, "a.yaml")); }

StateConfig state_of(const std::string& state) {
  auto config = parse_config(with(state), "a.yaml");
  REQUIRE(config);
  return config->state;
}

TEST_CASE("state is kept in memory unless it is to be sealed") {
  auto config = parse_config(
      "trust_domain: example.org\nidentities: [{id: /web, match: [unix:uid:1]}]\n", "a.yaml");
  REQUIRE(config);
  CHECK_FALSE(config->state);
  CHECK_FALSE(state_of("memory"));
  CHECK_FALSE(state_of("{ memory: {} }"));
}

TEST_CASE("the key of sealed state is systemd's credential unless a file is named") {
  CHECK(state_of("sealed")->key_credential == "nodepilot-state-key");
  CHECK_FALSE(state_of("sealed")->key_file);
  CHECK(state_of("{ sealed: {} }")->key_credential == "nodepilot-state-key");
  CHECK(state_of("{ sealed: { key_credential: mine } }")->key_credential == "mine");
  CHECK(state_of("{ sealed: { key_file: /etc/key } }")->key_file == "/etc/key");
}

TEST_CASE("what is neither memory nor sealed, or both, is refused") {
  CHECK(errors_of(with("seald")) ==
        "a.yaml:5:8: state: must be memory or sealed, got \"seald\" (did you mean \"sealed\"?)\n");
  CHECK(errors_of(with("{ memory: {}, sealed: {} }")) ==
        "a.yaml:5:30: state.sealed: stands beside memory; one of the two only\n");
  CHECK(errors_of(with("{}")) == "a.yaml:5:8: state: must name memory or sealed\n");
  CHECK(errors_of(with("[sealed]")).find("a.yaml:5:8: state: must be a mapping") == 0);
  CHECK(errors_of(with("{ memory: { key_file: /k } }")) ==
        "a.yaml:5:20: state.memory: unknown key \"key_file\"\n");
  CHECK(errors_of(with("{ sealed: { key: /k } }")).find("state.sealed: unknown key \"key\"") !=
        std::string::npos);
}

TEST_CASE("there is one key, named by an absolute path or as a credential") {
  CHECK(errors_of(with("{ sealed: { key_file: key } }")).find("state.sealed.key_file: must") !=
        std::string::npos);
  CHECK(errors_of(with("{ sealed: { key_file: /k, key_credential: k } }"))
            .find("state.sealed.key_credential: key_file is given already") != std::string::npos);
  for (const char* name : {"..", "a/b", "a b", "a:b", ""}) {
    CAPTURE(name);
    CHECK(errors_of(with(std::string("{ sealed: { key_credential: \"") + name + "\" } }"))
              .find("state.sealed.key_credential: must be the name of a credential") !=
          std::string::npos);
  }
}

TEST_CASE("the key must not lie beside what it seals") {
  CHECK(errors_of(with("{ sealed: { key_file: /state/key } }")) ==
        "a.yaml:5:8: state: key_file must not lie in state_dir\n");
}

TEST_CASE("no grant of files reaches the key") {
  CHECK(errors_of(with("{ sealed: { key_file: /etc/app/key } }", ", files: [/etc/app]"))
            .find("must not reach state.sealed.key_file: /etc/app") != std::string::npos);
}

}  // namespace
}  // namespace nodepilot
