#include "agent/config/outputs.h"

#include <doctest/doctest.h>

#include <csignal>

#include "agent/config/config.h"
#include "test/config/mistakes.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;

// A file with some identities and `outputs`, which begins in line 2.
tl::expected<Config, ConfigErrors> read(const std::string& outputs, const std::string& more = "") {
  return parse_config("outputs:\n" + outputs + more +
                          "trust_domain: example.org\n"
                          "identities:\n"
                          "- { id: /web, match: [\"unix:uid:1\"] }\n"
                          "- { id: /db, match: [\"unix:uid:2\"] }\n"
                          "- { id: /web, match: [\"unix:uid:3\"], federates_with: [b.org] }\n"
                          "federation:\n"
                          "- { trust_domain: b.org, url: https://b.org/, profile: https_web }\n",
                      "a.yaml");
}

std::string errors_of(const std::string& outputs, const std::string& more = "") {
  return mistakes_in(read(outputs, more));
}

// One output, and what `key: value` is wrong about it.
std::string error_of(const std::string& key_and_value) {
  return errors_of("- identity: /web\n  directory: /etc/web\n  profile: pem\n  " + key_and_value +
                   "\n");
}

TEST_CASE("without outputs nothing is written") {
  auto config = parse_config(
      "trust_domain: example.org\nidentities: [{ id: /web, match: [\"unix:uid:1\"] }]\n", "a.yaml");

  REQUIRE(config);
  CHECK(config->outputs.empty());
}

TEST_CASE("an output is read as written") {
  auto config = read(R"(
- identity: /web
  directory: /etc/nginx/identity
  profile: tls
- identity: spiffe://example.org/db
  directory: /var/lib/db
  profile: bundle
  owner: postgres
  group: "107"
  key_mode: "0640"
  mode: "0444"
  hooks:
  - signal: { name: SIGHUP, pid_file: /run/db.pid, executable: /usr/bin/db }
  - systemd_reload: haproxy@a.service
    timeout: 5s
  - exec: [/usr/sbin/nginx, -s, "reload; now"]
    timeout: 1m
    retry: { tries: 2, delay: 500ms }
- identity: spiffe://example.org/web#2
  directory: /srv/web
  profile: pem
  federated: true
)");

  REQUIRE(config);
  REQUIRE(config->outputs.size() == 3);
  const Output& web = config->outputs[0];
  CHECK(web.entry_id == "spiffe://example.org/web");
  CHECK(web.directory == "/etc/nginx/identity");
  CHECK(web.profile == OutputProfile::kTls);
  CHECK(web.owner.user.empty());
  CHECK(web.owner.group.empty());
  CHECK(web.key_mode == 0600);
  CHECK(web.mode == 0644);
  CHECK_FALSE(web.federated);
  CHECK(web.hooks.empty());

  const Output& db = config->outputs[1];
  CHECK(db.entry_id == "spiffe://example.org/db");
  CHECK(db.profile == OutputProfile::kBundle);
  CHECK(db.owner.user == "postgres");
  CHECK(db.owner.group == "107");
  CHECK(db.key_mode == 0640);
  CHECK(db.mode == 0444);
  REQUIRE(db.hooks.size() == 3);
  const auto& signal = std::get<SignalHook>(db.hooks[0].action);
  CHECK(signal.signal == SIGHUP);
  CHECK(signal.pid_file == "/run/db.pid");
  CHECK(signal.executable == "/usr/bin/db");
  CHECK(db.hooks[0].timeout == 30s);
  CHECK(db.hooks[0].tries == 5);
  CHECK(db.hooks[0].delay == 1s);
  CHECK(std::get<ReloadHook>(db.hooks[1].action).unit == "haproxy@a.service");
  CHECK(db.hooks[1].timeout == 5s);
  CHECK(std::get<ExecHook>(db.hooks[2].action).argv ==
        std::vector<std::string>{"/usr/sbin/nginx", "-s", "reload; now"});
  CHECK(db.hooks[2].timeout == 60s);
  CHECK(db.hooks[2].tries == 2);
  CHECK(db.hooks[2].delay == 500ms);

  CHECK(config->outputs[2].entry_id == "spiffe://example.org/web#2");
  CHECK(config->outputs[2].profile == OutputProfile::kPem);
  CHECK(config->outputs[2].federated);
}

TEST_CASE("nothing of an output is inferred") {
  CHECK(errors_of("- {}\n") ==
        "a.yaml:2:3: outputs[0]: key \"identity\" is missing\n"
        "a.yaml:2:3: outputs[0]: key \"directory\" is missing\n"
        "a.yaml:2:3: outputs[0]: key \"profile\" is missing\n");
  CHECK(error_of("hook: []") ==
        "a.yaml:5:3: outputs[0]: unknown key \"hook\" (did you mean \"hooks\"?)\n");
  CHECK(errors_of("- { identity: /web, directory: /etc/web, profile: pkcs12 }\n") ==
        "a.yaml:2:51: outputs[0].profile: must be pem, tls or bundle, got \"pkcs12\"\n");
}

TEST_CASE("the identity must be one of identities") {
  for (const char* identity : {"/ghost", "web", "spiffe://other.org/web",
                               "spiffe://example.org/web#3", "spiffe://example.org"}) {
    CHECK(errors_of("- { identity: \"" + std::string(identity) +
                    "\", directory: /etc/web, profile: pem }\n") ==
          "a.yaml:2:15: outputs[0].identity: must be one of identities with a fixed id, by its "
          "path or ID, got \"" +
              std::string(identity) + "\"\n");
  }
}

TEST_CASE("the identity of the bundle endpoint is not for files") {
  CHECK(errors_of("- { identity: /endpoint, directory: /etc/web, profile: pem }\n",
                  "bundle_endpoint: { listen: \"127.0.0.1:8443\", profile: https_spiffe, "
                  "spiffe_id: /endpoint }\n") ==
        "a.yaml:2:15: outputs[0].identity: must be one of identities with a fixed id, by its path "
        "or ID, got "
        "\"/endpoint\"\n");
}

TEST_CASE("a directory is absolute, for one output alone, and apart from the agent's own") {
  auto with = [](const std::string& directory) {
    return errors_of("- { profile: pem, identity: /web, directory: " + directory + " }\n");
  };
  CHECK(with("web").find("a.yaml:2:46: outputs[0].directory: must be an absolute path") == 0);
  CHECK(with("/var/lib/nodepilot/web") ==
        "a.yaml:2:46: outputs[0].directory: /var/lib/nodepilot/web must not meet "
        "/var/lib/nodepilot, a directory of the agent's own\n");
  for (const char* directory : {"/var/lib/nodepilot", "/var/lib", "/run/nodepilot/public/web",
                                "/run/nodepilot", "/run/nodepilot/admin", "/"}) {
    CHECK_FALSE(with(directory).empty());
  }
  CHECK(with("/run/nodepilot/web").empty());
  CHECK(with("/var/lib/nodepilot-web").empty());

  for (const char* other : {"/etc/web", "/etc/web/db", "/etc"}) {
    CHECK(errors_of("- { profile: pem, identity: /web, directory: /etc/web }\n"
                    "- { profile: pem, identity: /db, directory: " +
                    std::string(other) + " }\n") ==
          "a.yaml:3:45: outputs[1].directory: must be for this output alone, but /etc/web is "
          "another's\n");
  }
}

TEST_CASE("no grant of files reaches an output") {
  for (const char* granted : {"/etc/web", "/etc", "/etc/web/..data"}) {
    auto config = parse_config(
        "trust_domain: example.org\n"
        "identities:\n"
        "- { id: /web, match: [\"unix:uid:1\"], files: [" +
            std::string(granted) +
            "] }\n"
            "outputs: [{ identity: /web, directory: /etc/web, profile: pem }]\n",
        "a.yaml");

    REQUIRE_FALSE(config);
    CHECK(config.error()[0].str() ==
          "a.yaml:3:1: identities: files of spiffe://example.org/web must not reach the directory "
          "of an output: " +
              std::string(granted));
  }
}

TEST_CASE("modes are quoted octal, and no more than is needed") {
  CHECK(
      error_of("key_mode: 0640") ==
      "a.yaml:5:13: outputs[0].key_mode: must stand in quotes, such as \"0660\" (YAML reads a bare "
      "0660 as the number 432), got 0640\n");
  for (const char* mode : {"0644", "0660", "0700", "0000", "0040"}) {
    CHECK(error_of("key_mode: \"" + std::string(mode) + "\"") ==
          "a.yaml:5:13: outputs[0].key_mode: must be 0640 or less: a key is for its owner and one "
          "group, got \"" +
              std::string(mode) + "\"\n");
  }
  for (const char* mode : {"0664", "0755", "0044"}) {
    CHECK(error_of("mode: \"" + std::string(mode) + "\"") ==
          "a.yaml:5:9: outputs[0].mode: must be 0644 or less: nobody but the agent writes, got \"" +
              std::string(mode) + "\"\n");
  }
}

TEST_CASE("owners are names or numbers") {
  CHECK(error_of("owner: \"\"") ==
        "a.yaml:5:10: outputs[0].owner: must be a name or a number, got \"\"\n");
  CHECK(error_of("group: \"a b\"") ==
        "a.yaml:5:10: outputs[0].group: must be a name or a number, got \"a b\"\n");
  CHECK(error_of("owner: \"4294967295\"") ==
        "a.yaml:5:10: outputs[0].owner: must be a whole number between 0 and 4294967294, got "
        "\"4294967295\"\n");
}

TEST_CASE("federated roots need an identity that federates") {
  CHECK(error_of("federated: true") ==
        "a.yaml:5:14: outputs[0].federated: spiffe://example.org/web federates with no trust "
        "domain (federates_with)\n");
  CHECK(error_of("federated: yes") ==
        "a.yaml:5:14: outputs[0].federated: must be true or false, got \"yes\"\n");
}

TEST_CASE("a hook is one of three") {
  CHECK(error_of("hooks: [{}]") ==
        "a.yaml:5:11: outputs[0].hooks[0]: must have one of signal, systemd_reload and exec, got "
        "0\n");
  CHECK(error_of("hooks: [{ systemd_reload: a.service, exec: [/bin/true] }]") ==
        "a.yaml:5:11: outputs[0].hooks[0]: must have one of signal, systemd_reload and exec, got "
        "2\n");
}

TEST_CASE("hooks are strict about what they are given") {
  CHECK(error_of("hooks: [{ signal: { name: SIGKILL, pid_file: /run/a.pid } }]") ==
        "a.yaml:5:29: outputs[0].hooks[0].signal.name: must be SIGHUP, SIGUSR1 or SIGUSR2, got "
        "\"SIGKILL\"\n");
  CHECK(error_of("hooks: [{ signal: { name: SIGHUP } }]") ==
        "a.yaml:5:21: outputs[0].hooks[0].signal: key \"pid_file\" is missing\n");
  for (const char* unit : {"nginx", "nginx.socket", ".service", "a b.service"}) {
    CHECK(error_of("hooks: [{ systemd_reload: \"" + std::string(unit) + "\" }]") ==
          "a.yaml:5:29: outputs[0].hooks[0].systemd_reload: must be a unit such as nginx.service, "
          "got \"" +
              std::string(unit) + "\"\n");
  }
  CHECK(error_of("hooks: [{ exec: [] }]") ==
        "a.yaml:5:19: outputs[0].hooks[0].exec: must name a program\n");
  CHECK(error_of("hooks: [{ exec: [nginx, -s, reload] }]")
            .find("a.yaml:5:20: outputs[0].hooks[0].exec[0]: must be an absolute path") == 0);
  CHECK(error_of("hooks: [{ exec: \"/usr/sbin/nginx -s reload\" }]")
            .find("a.yaml:5:19: outputs[0].hooks[0].exec: must be a list") == 0);
  CHECK(error_of("hooks: [{ exec: [/bin/true], timeout: 1h }]") ==
        "a.yaml:5:41: outputs[0].hooks[0].timeout: must be between 100ms and 10m, got \"1h\"\n");
  CHECK(error_of("hooks: [{ exec: [/bin/true], retry: { tries: 0 } }]") ==
        "a.yaml:5:48: outputs[0].hooks[0].retry.tries: must be a whole number between 1 and 20, "
        "got \"0\"\n");
}

TEST_CASE("outputs, hooks and arguments are bounded") {
  std::string outputs;
  for (int i = 0; i < 101; ++i) {
    outputs += "- { identity: /web, profile: pem, directory: /d/" + std::to_string(i) + " }\n";
  }
  CHECK(errors_of(outputs) == "a.yaml:2:1: outputs: must hold at most 100 outputs, got 101\n");
  std::string hooks;
  for (int i = 0; i < 17; ++i) hooks += "{ exec: [/bin/true] },";
  CHECK(error_of("hooks: [" + hooks + "]") ==
        "a.yaml:5:10: outputs[0].hooks: must hold at most 16 hooks, got 17\n");
  std::string words;
  for (int i = 0; i < 64; ++i) words += ", a";
  CHECK(error_of("hooks: [{ exec: [/bin/true" + words + "] }]") ==
        "a.yaml:5:19: outputs[0].hooks[0].exec: must hold at most 64 words, got 65\n");
  CHECK(error_of("hooks: [{ exec: [/bin/true, " + std::string(4097, 'a') + "] }]") ==
        "a.yaml:5:31: outputs[0].hooks[0].exec[1]: must be at most 4096 bytes, got 4097\n");
}

}  // namespace
}  // namespace nodepilot
