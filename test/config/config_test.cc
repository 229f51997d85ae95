#include "agent/config/config.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "test/config/mistakes.h"
#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kGood = R"(# everything set, nothing at its default
trust_domain: example.org
listen: { path: /srv/np/public/api.sock, mode: "0600" }
admin:
  path: /srv/np/admin/admin.sock
  mode: '0600'
state_dir: /srv/np/state
ca:
  local: { ttl: 30m, certificate_file: /srv/ca.pem, key_file: /srv/ca.key }
identities:
  - id: /web
    match: [ "unix:uid:1000", "unix:path:/usr/bin/envoy" ]
    x509: { ttl: 2h, dns_names: [web.example.org, www.example.org] }
    hint: internal
    prefetch: true
    jwt: { ttl: 2m }
    federates_with: [partner.example, other.example]
  - id: spiffe://example.org/db
    match:
      - unix:user:postgres
  - id: /web
    match: [ unix:gid:7, unix:supplementary_gid:8, unix:supplementary_gid:9 ]
federation:
  - { trust_domain: partner.example, url: "https://partner.example/", profile: https_web }
  - trust_domain: other.example
    url: https://bundles.other.example:8443/b
    profile: https_spiffe
    endpoint_spiffe_id: spiffe://other.example/endpoint
    bundle_file: /etc/nodepilot/other.example.json
rotation: { at: 0.6, jitter: 0.2, max_in_flight: 3, max_rate: 20, grace: 5m }
sds:
  validation: trusted_ca
  system_roots: false
  default_svid_name: mine
  default_bundle_name: ours
  default_all_bundles_name: "null"
limits: { connections: 100, header_bytes: 32KiB, buffered_bytes: 2097152, preface_timeout: 3s }
log: { level: debug, format: json }
)";

// A file with what is required, and `more` from line 5 on.
std::string with(const std::string& more) {
  return "trust_domain: example.org\n"
         "identities:\n"
         "  - id: /web\n"
         "    match: [unix:uid:1]\n" +
         more;
}

// A file with one identity, whose body starts in line 3 with "  - ".
std::string with_identity(const std::string& body) {
  return "trust_domain: example.org\nidentities:\n  - " + body + "\n";
}

std::string errors_of(std::string_view yaml) { return mistakes_in(parse_config(yaml, "a.yaml")); }

TEST_CASE("a file that sets everything is read as written") {
  auto config = parse_config(kGood, "good.yaml");

  REQUIRE(config);
  CHECK(config->trust_domain.name() == "example.org");
  CHECK(config->listen.path == "/srv/np/public/api.sock");
  CHECK(config->listen.mode == 0600);
  CHECK(config->admin.path == "/srv/np/admin/admin.sock");
  CHECK(config->admin.mode == 0600);
  CHECK(config->state_dir == "/srv/np/state");
  const auto& ca = std::get<LocalCaConfig>(config->ca);
  CHECK(ca.certificate_file == "/srv/ca.pem");
  CHECK(ca.key_file == "/srv/ca.key");
  CHECK(config->rotation.policy.at == 0.6);
  CHECK(config->rotation.policy.jitter == 0.2);
  CHECK(config->rotation.max_in_flight == 3);
  CHECK(config->rotation.max_rate == 20);
  CHECK(config->rotation.grace == 5min);
  CHECK(config->entries[0].prefetch);
  CHECK_FALSE(config->entries[1].prefetch);
  CHECK(config->sds.form == TrustForm::kTrustedCa);
  CHECK_FALSE(config->sds.system_roots);
  CHECK(config->sds.default_identity == "mine");
  CHECK(config->sds.own_roots == "ours");
  CHECK(config->sds.all_roots == "null");
  CHECK(config->limits.connections == 100);
  CHECK(config->limits.header_bytes == 32768);
  CHECK(config->limits.buffered_bytes == 2097152);
  CHECK(config->limits.preface_timeout == 3s);
  CHECK(config->limits.write_stall_timeout == Limits{}.write_stall_timeout);
  CHECK(config->log_level == log::Level::kDebug);
  CHECK(config->log_format == log::Format::kJson);
}

TEST_CASE("identities keep their order and get unique ids") {
  auto config = parse_config(kGood, "good.yaml");

  REQUIRE(config);
  REQUIRE(config->entries.size() == 3);
  const Entry& web = config->entries[0];
  CHECK(web.id == "spiffe://example.org/web");
  CHECK(web.spiffe_id.str() == "spiffe://example.org/web");
  CHECK(web.match == Selectors{{"unix", "uid:1000"}, {"unix", "path:/usr/bin/envoy"}});
  CHECK(web.ttl == 2h);
  CHECK(web.dns_names == std::vector<std::string>{"web.example.org", "www.example.org"});
  CHECK(web.hint == "internal");
  CHECK(web.jwt_ttl == 2min);
  REQUIRE(web.federates_with.size() == 2);
  CHECK(web.federates_with[0].name() == "partner.example");
  CHECK(web.federates_with[1].name() == "other.example");
  CHECK(config->entries[1].id == "spiffe://example.org/db");
  CHECK(config->entries[1].ttl == 30min);  // of the CA
  CHECK(config->entries[2].id == "spiffe://example.org/web#2");
  CHECK(config->entries[2].spiffe_id == web.spiffe_id);
}

TEST_CASE("what is left out has its default") {
  auto config = parse_config(with("limits:\nca: { local: }\n"), "a.yaml");

  REQUIRE(config);
  CHECK(config->listen.path == "/run/nodepilot/public/api.sock");
  CHECK(config->listen.mode == 0666);
  CHECK(config->admin.path == "/run/nodepilot/admin/admin.sock");
  CHECK(config->admin.mode == 0660);
  CHECK(config->state_dir == "/var/lib/nodepilot");
  CHECK_FALSE(std::get<LocalCaConfig>(config->ca).certificate_file);
  CHECK(config->entries[0].ttl == 1h);
  CHECK(config->rotation.policy.at == 0.5);
  CHECK(config->sds.form == TrustForm::kSpiffeValidator);
  CHECK(config->sds.system_roots);
  CHECK(config->sds.default_identity == "default");
  CHECK(config->sds.own_roots == "ROOTCA");
  CHECK(config->sds.all_roots == "ALL");
  CHECK(config->entries[0].files.empty());
  CHECK(config->entries[0].peers.empty());
  CHECK(config->limits.connections == 8192);
  CHECK(config->log_level == log::Level::kInfo);
}

TEST_CASE("JSON is read as the YAML it is") {
  auto config = parse_config(
      R"({"trust_domain": "example.org", "rotation": {"at": 0.4},
          "identities": [{"id": "/web", "match": ["unix:uid:1"]}]})",
      "a.json");

  REQUIRE(config);
  CHECK(config->rotation.policy.at == 0.4);
}

TEST_CASE("all mistakes of a file are told at once, in the order of the file") {
  CHECK(errors_of(R"(trust_domian: example.org
listen: { path: api.sock, mode: 0666 }
admin: { path: /run/nodepilot/public/admin.sock, mode: "0666" }
identities:
  - id: /web
    match: []
  - match: [unix:uid:root]
rotation: { at: 1.5, max_in_flight: "8" }
log: { level: loud, format: [] }
)") ==
        R"(a.yaml:1:1: key "trust_domain" is missing
a.yaml:1:1: unknown key "trust_domian" (did you mean "trust_domain"?)
a.yaml:2:17: listen.path: must be an absolute path without ".", "..", "//" or a "/" at its end, got "api.sock"
a.yaml:2:33: listen.mode: must stand in quotes, such as "0660" (YAML reads a bare 0660 as the number 432), got 0666
a.yaml:3:16: admin.path: /run/nodepilot/public/admin.sock must not lie in /run/nodepilot/public, the directory of the public socket
a.yaml:3:56: admin.mode: must end in 0: others may not use the admin socket, got "0666"
a.yaml:6:12: identities[0].match: must not be empty: it would hand this identity to everybody
a.yaml:7:5: identities[1]: key "id" is missing
a.yaml:7:13: identities[1].match[0]: unix:uid: must be a whole number between 0 and 4294967294, got "root"
a.yaml:8:17: rotation.at: must be a number between 0.1 and 0.9, got "1.5"
a.yaml:8:37: rotation.max_in_flight: must be a number without quotes, got the text "8"
a.yaml:9:15: log.level: log level "loud": must be debug, info, warn, error or off
a.yaml:9:29: log.format: must be a single value, got a list
)");
}

TEST_CASE("an unknown key is refused wherever it stands, with the nearest name") {
  CHECK(errors_of(with("listen: { pth: /a/b }\n")) ==
        "a.yaml:5:11: listen: unknown key \"pth\" (did you mean \"path\"?)\n");
  CHECK(errors_of(with("limits: { conections: 5 }\n")) ==
        "a.yaml:5:11: limits: unknown key \"conections\" (did you mean \"connections\"?)\n");
  CHECK(errors_of(with("webhooks: {}\n")) == "a.yaml:5:1: unknown key \"webhooks\"\n");
  CHECK(errors_of(with_identity("{ id: /a, match: [unix:uid:1], x509: { tll: 1h } }")) ==
        "a.yaml:3:44: identities[0].x509: unknown key \"tll\" (did you mean \"ttl\"?)\n");
  CHECK(errors_of(with("ca: { openssl: {} }\n")) == "a.yaml:5:7: ca: unknown key \"openssl\"\n");
  CHECK(errors_of(with("<<: { log: {} }\n")) == "a.yaml:5:1: unknown key \"<<\"\n");
}

TEST_CASE("a key that is given twice is refused, even with the same value") {
  CHECK(errors_of(with("state_dir: /a\nlog: {}\nstate_dir: /a\n")) ==
        "a.yaml:7:1: key \"state_dir\" is given twice, first in line 5\n");
  CHECK(errors_of(with("log: { level: info, \"level\": warn }\n")) ==
        "a.yaml:5:21: log: key \"level\" is given twice, first in line 5\n");
}

TEST_CASE("a key that is no word is refused") {
  CHECK(errors_of(with("? [a]\n: b\n")) == "a.yaml:5:3: a key must be a single word, got a list\n");
  CHECK(errors_of(with("log: { ~: b }\n")) ==
        "a.yaml:5:8: log: a key must be a single word, got nothing\n");
}

TEST_CASE("aliases, anchors and tags are refused where they stand") {
  CHECK(errors_of(with("state_dir: &x /a\n")) == "a.yaml:5:12: anchors (&name) are not allowed\n");
  CHECK(errors_of(with("log: &x {}\nca: *x\n")) ==
        "a.yaml:5:6: anchors (&name) are not allowed\n"
        "a.yaml:6:5: aliases (*name) are not allowed: write the value out\n");
  CHECK(errors_of(with("state_dir: !!str /a\n")) ==
        "a.yaml:5:12: tags are not allowed, got \"tag:yaml.org,2002:str\"\n");
  CHECK(errors_of(with("log: !x {}\n")) == "a.yaml:5:6: tags are not allowed, got \"!x\"\n");
}

TEST_CASE("an alias bomb costs no more than its text") {
  std::string bomb = "a0: &a0 [x]\n";
  for (int i = 1; i < 100; ++i) {
    std::string last = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 20; ++j) bomb += last + (j < 19 ? "," : "]\n");
  }

  auto config = parse_config(bomb, "bomb.yaml");

  REQUIRE_FALSE(config);
  CHECK(config.error().size() == 101);
  CHECK(config.error().front().str() == "bomb.yaml:1:1: key \"trust_domain\" is missing");
  CHECK(config.error().back().str() == "bomb.yaml: and 2082 more");
}

TEST_CASE("only one document is allowed") {
  CHECK(parse_config("---\n" + with(""), "a.yaml"));
  CHECK(errors_of(with("---\nlog: {}\n")) == "a.yaml:5:1: YAML: only one document is allowed\n");
}

TEST_CASE("a text that is no YAML is told with its place") {
  CHECK(errors_of(with("log: [\n")) == "a.yaml:6:1: YAML: end of sequence flow not found\n");
  CHECK(errors_of(with("log: a: b\n")) == "a.yaml:5:7: YAML: illegal map value\n");
  CHECK(errors_of(with("log: x\n\tlocal: {}\n")) ==
        "a.yaml:6:1: YAML: illegal tab when looking for indentation\n");
  CHECK(errors_of(with("ca: *none\n")) ==
        "a.yaml:5:5: YAML: the referenced anchor is not defined\n");
}

TEST_CASE("bytes that are no text are refused with their place") {
  for (const char* bytes : {"\x04", "\x01", "\x7f", "\xff", "\xc0\xaf", "\xed\xa0\x80",
                            "\xf4\x90\x80\x80", "\xe2\x82", "\x80", "\xf0\x80\x80\x80"}) {
    CHECK(errors_of(with("# \xc3\xa9 " + std::string(bytes) + "\n")) ==
          "a.yaml:5:6: not UTF-8 text: a control character or a broken sequence\n");
  }
  CHECK(errors_of(std::string("\0", 1)) ==
        "a.yaml:1:1: not UTF-8 text: a control character or a broken sequence\n");
  CHECK(parse_config(with("# \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\n"), "a.yaml"));
}

TEST_CASE("an empty file tells what is needed") {
  const char* needed =
      "a.yaml: key \"trust_domain\" is missing\n"
      "a.yaml: key \"identities\" is missing\n";

  CHECK(errors_of("") == needed);
  CHECK(errors_of("# nothing\n") == needed);
  CHECK(errors_of("just text") ==
        "a.yaml:1:1: must be a mapping (name: value), got \"just text\"\n");
  CHECK(errors_of("[]") == "a.yaml:1:1: must be a mapping (name: value), got a list\n");
}

TEST_CASE("a value of the wrong shape is refused") {
  CHECK(errors_of(with("log: info\n")) ==
        "a.yaml:5:6: log: must be a mapping (name: value), got \"info\"\n");
  CHECK(errors_of(with("state_dir: {}\n")) ==
        "a.yaml:5:12: state_dir: must be a single value, got a mapping\n");
  CHECK(errors_of(with("state_dir:\n")) ==
        "a.yaml:5:1: state_dir: must be a single value, got nothing\n");
  CHECK(errors_of("trust_domain: a\nidentities: {}\n") ==
        "a.yaml:2:13: identities: must be a list, got a mapping\n");
  CHECK(errors_of("trust_domain: a\nidentities: []\n") ==
        "a.yaml:2:13: identities: must hold at least one identity\n");
  CHECK(errors_of(with_identity("/web")) ==
        "a.yaml:3:5: identities[0]: must be a mapping (name: value), got \"/web\"\n");
  CHECK(errors_of(with_identity("{ id: /a, match: unix:uid:1 }")) ==
        "a.yaml:3:22: identities[0].match: must be a list, got \"unix:uid:1\"\n");
}

TEST_CASE("an id must be a path or an ID of the trust domain") {
  auto error = [](const std::string& id) {
    return errors_of(with_identity("{ match: [unix:uid:1], id: " + id + " }"));
  };

  CHECK(error("web") ==
        "a.yaml:3:32: identities[0].id: must be a path such as /web or a whole SPIFFE ID, got "
        "\"web\"\n");
  CHECK(error("spiffe://other.org/web") ==
        "a.yaml:3:32: identities[0].id: must be of the trust domain \"example.org\", got "
        "\"spiffe://other.org/web\"\n");
  CHECK(error("spiffe://example.org") ==
        "a.yaml:3:32: identities[0].id: must have a path, as in spiffe://example.org/web: the ID "
        "alone is the domain's own\n");
  CHECK(error("/a//b") ==
        "a.yaml:3:32: identities[0].id: SPIFFE ID \"spiffe://example.org/a//b\": a path segment is "
        "empty (no '//', no trailing '/')\n");
}

TEST_CASE("a bad trust domain is told once, and the rest is still looked at") {
  CHECK(
      errors_of("trust_domain: Example.org\nidentities:\n  - id: spiffe://other.org/web\n    "
                "match: [unix:uid:x]\n") ==
      "a.yaml:1:15: trust_domain: SPIFFE ID \"Example.org\": a trust domain may only hold a-z 0-9 "
      ". - _\n"
      "a.yaml:4:13: identities[0].match[0]: unix:uid: must be a whole number between 0 and "
      "4294967294, got \"x\"\n");
}

TEST_CASE("a selector that no attestor yields is refused") {
  auto error = [](const std::string& selector) {
    return errors_of(with_identity("{ id: /a, match: ['" + selector + "'] }"));
  };
  const std::string place = "a.yaml:3:23: identities[0].match[0]: ";

  CHECK(error("unx:uid:1") ==
        place +
            "unknown selector type \"unx\" (did you mean \"unix\"?); known: unix, k8s, docker, "
            "systemd\n");
  CHECK(error("unix:udi:1") ==
        place +
            "unknown kind \"udi\" (did you mean \"uid\"?); unix has uid, user, gid, group, "
            "supplementary_gid, supplementary_group, path, sha256\n");
  CHECK(error("uid") == place + "selector \"uid\": must be TYPE:VALUE, such as unix:uid:1000\n");
  CHECK(error("unix:uid") == place + "must have a value, as in unix:uid:VALUE\n");
  CHECK(error("unix:uid:") == place + "must have a value, as in unix:uid:VALUE\n");
  CHECK(error("unix:uid:01") == place + "unix:uid: must not start with 0, got \"01\"\n");
  CHECK(error("unix:gid:4294967295") ==
        place + "unix:gid: must be a whole number between 0 and 4294967294, got \"4294967295\"\n");
  CHECK(error("unix:path:envoy") ==
        place +
            "unix:path: must be an absolute path without \".\", \"..\", \"//\" or a \"/\" at its "
            "end, got \"envoy\"\n");
  CHECK(error("unix:sha256:AB") ==
        place + "unix:sha256: must be 64 lower-case hex digits, got \"AB\"\n");
}

TEST_CASE("a rule that nothing could attest is refused") {
  CHECK(errors_of(with_identity("{ id: '/ns/{k8s:ns}', match: [unix:uid:1] }")) ==
        "a.yaml:3:3: identities: spiffe://example.org/ns/{k8s:ns}: asks for k8s selectors, which "
        "nothing yields without attestors.kubernetes\n");
}

TEST_CASE("an asterisk asks for any value of a key") {
  auto config = parse_config(with_identity("{ id: /a, match: [unix:uid:1, 'unix:user:*'] }"), "a");

  REQUIRE(config);
  CHECK(config->entries[0].match == Selectors{{"unix", "uid:1"}});
  CHECK(config->entries[0].match_any == SelectorKeys{{"unix", "user"}});
}

TEST_CASE("an id may be a template over selectors") {
  for (const char* id : {"/user/{unix:user}", "spiffe://example.org/user/{unix:user}"}) {
    CAPTURE(id);
    auto config = parse_config(
        with_identity("{ id: '" + std::string(id) + "', match: ['unix:user:*'] }"), "a");

    REQUIRE(config);
    const Entry& entry = config->entries[0];
    REQUIRE(entry.id_template);
    CHECK(entry.id_template->str() == "spiffe://example.org/user/{unix:user}");
    CHECK(entry.id == "spiffe://example.org/user/{unix:user}");
    CHECK(entry.spiffe_id.str() == "spiffe://example.org");
  }
}

TEST_CASE("a template that could never be filled is refused") {
  auto error = [](const std::string& id, const std::string& more = "") {
    return errors_of(with_identity("{ id: '" + id + "', match: [unix:uid:1]" + more + " }"));
  };
  const std::string place = "a.yaml:3:11: identities[0].id: ";

  CHECK(error("/x/{unix:usr}").starts_with(place + "unknown kind \"usr\" (did you mean"));
  CHECK(error("/x/{k8s:pod-label}").starts_with(place + "must be k8s:pod-label:NAME, got"));
  CHECK(error("/x/{unix:user:bob}").starts_with(place + "must be unix:user, got"));
  CHECK(error("/x-{unix:user}").find("must be the whole of a segment") != std::string::npos);
  CHECK(error("spiffe://other.org/{unix:user}").find("must be a path such as") !=
        std::string::npos);
}

TEST_CASE("what only one identity can have is no part of a template") {
  CHECK(errors_of(with_identity("{ id: '/u/{unix:user}', match: [unix:uid:1], prefetch: true }")) ==
        "a.yaml:3:60: identities[0].prefetch: is for a fixed id only: a template gives many "
        "identities\n");
  CHECK(errors_of(with_identity("{ id: '/u/{unix:user}', match: [unix:uid:1], x509: { dns_names: "
                                "[a.example.org] } }"))
            .find("x509.dns_names: is for a fixed id only") != std::string::npos);
}

TEST_CASE("a match that repeats or contradicts itself is refused") {
  CHECK(errors_of(with_identity("{ id: /a, match: [unix:uid:1, unix:uid:1] }")) ==
        "a.yaml:3:35: identities[0].match[1]: \"unix:uid:1\" is listed twice\n");
  CHECK(errors_of(with_identity("{ id: /a, match: [unix:uid:2, unix:uid:1] }")) ==
        "a.yaml:3:22: identities[0].match: can never hold: all must be true at once, but a process "
        "has one unix:uid, not \"unix:uid:1\" and \"unix:uid:2\"; for either of them write two "
        "identities\n");
}

TEST_CASE("an identity with the same id and match as another is refused") {
  CHECK(errors_of(with("  - id: spiffe://example.org/web\n    match: [unix:uid:1]\n")) ==
        "a.yaml:5:5: identities[1]: repeats identities[0]: same id, same match\n");
}

TEST_CASE("a ttl is whole seconds within a year") {
  auto error = [](const std::string& ttl) {
    return errors_of(with("ca: { local: { ttl: " + ttl + " } }\n"));
  };

  CHECK(error("5s") == "");
  CHECK(error("4s") == "a.yaml:5:21: ca.local.ttl: must be between 5s and 365d, got \"4s\"\n");
  CHECK(error("366d") == "a.yaml:5:21: ca.local.ttl: must be between 5s and 365d, got \"366d\"\n");
  CHECK(error("5500ms") == "a.yaml:5:21: ca.local.ttl: must be whole seconds, got \"5500ms\"\n");
  CHECK(
      error("3600") ==
      "a.yaml:5:21: ca.local.ttl: must be a duration such as 1h30m, 30s or 250ms, got \"3600\"\n");
}

TEST_CASE("DNS names must be plain host names") {
  auto error = [](const std::string& name) {
    return errors_of(
        with_identity("{ id: /a, match: [unix:uid:1], x509: { dns_names: ['" + name + "'] } }"));
  };
  const std::string place = "a.yaml:3:56: identities[0].x509.dns_names[0]: must be a DNS name: ";

  CHECK(error("a-1.example.org") == "");
  CHECK(error("localhost") == "");
  CHECK(error("") == place + "1 to 63 bytes between the dots, got \"\"\n");
  CHECK(error("a..b") == place + "1 to 63 bytes between the dots, got \"a..b\"\n");
  CHECK(error("a.b.") == place + "1 to 63 bytes between the dots, got \"a.b.\"\n");
  CHECK(error("*.a") == place + "only a-z 0-9 - ., got \"*.a\"\n");
  CHECK(error("Web.org") == place + "only a-z 0-9 - ., got \"Web.org\"\n");
  CHECK(error("-a.org") == place + "no '-' beside a dot, got \"-a.org\"\n");
  CHECK(error("10.0.0.1") == place + "the last part must not be a number, got \"10.0.0.1\"\n");
  CHECK(error(std::string(64, 'a')).starts_with(place + "1 to 63 bytes between the dots"));
  std::string label = std::string(63, 'a') + ".";
  CHECK(
      error(label + label + label + std::string(62, 'a')).starts_with(place + "at most 253 bytes"));
  CHECK(error(label + label + label + std::string(61, 'a')) == "");
  CHECK(errors_of(with_identity("{ id: /a, match: [unix:uid:1], x509: { dns_names: [a, a] } }")) ==
        "a.yaml:3:59: identities[0].x509.dns_names[1]: \"a\" is listed twice\n");
}

TEST_CASE("an identity federates with foreign trust domains, each named once") {
  CHECK(
      errors_of(with(
          "    federates_with: [example.org, b.org, b.org, c.org]\n"
          "federation: [{ trust_domain: b.org, url: https://b.org, profile: https_web }]\n")) ==
      R"(a.yaml:5:22: identities[0].federates_with[0]: must be a foreign trust domain; "example.org" is our own
a.yaml:5:42: identities[0].federates_with[2]: "b.org" is listed twice
a.yaml:5:49: identities[0].federates_with[3]: "c.org" is not among the trust domains under federation: add where its bundle is to be had
)");
}

TEST_CASE("a JWT-SVID lives for a day at most") {
  CHECK(errors_of(with("    jwt: { ttl: 24h }\n")) == "");
  CHECK(errors_of(with("    jwt: { ttl: 25h }\n")) ==
        "a.yaml:5:17: identities[0].jwt.ttl: must be between 5s and 1d, got \"25h\"\n");
}

TEST_CASE("a hint is bounded and one line") {
  CHECK(errors_of(with("    hint: " + std::string(1024, 'h') + "\n")) == "");
  CHECK(errors_of(with("    hint: " + std::string(1025, 'h') + "\n")) ==
        "a.yaml:5:11: identities[0].hint: must be at most 1024 bytes, got 1025\n");
  CHECK(errors_of(with("    hint: \"a\\nb\"\n")) ==
        "a.yaml:5:11: identities[0].hint: must not hold control characters\n");
}

TEST_CASE("certificate and key of the CA come together") {
  CHECK(errors_of(with("ca: { local: { key_file: /k } }\n")) ==
        "a.yaml:5:26: ca.local.key_file: needs certificate_file beside it\n");
  CHECK(errors_of(with("ca: { local: { certificate_file: /c } }\n")) ==
        "a.yaml:5:34: ca.local.certificate_file: needs key_file beside it\n");
}

TEST_CASE("the admin socket and the state never lie in the public directory") {
  CHECK(errors_of(with(
            "listen: { path: /run/np/api.sock }\nadmin: { path: /run/np/a/b/admin.sock }\n")) ==
        "a.yaml:6:16: admin.path: /run/np/a/b/admin.sock must not lie in /run/np, the directory of "
        "the public socket\n");
  CHECK(
      errors_of(with("listen: { path: /var/lib/nodepilot/api.sock }\n")) ==
      "a.yaml:1:1: state_dir: /var/lib/nodepilot must not lie in /var/lib/nodepilot, the directory "
      "of the public socket\n");
  CHECK(errors_of(with(
            "listen: { path: /run/np/public/api.sock }\nadmin: { path: /run/np/publicity/a }\n")) ==
        "");
}

TEST_CASE("a socket path must fit into a socket address") {
  CHECK(errors_of(with("listen: { path: /" + std::string(103, 'a') + "/s }\n")) ==
        "a.yaml:5:17: listen.path: must be at most 103 bytes, got 106\n");
}

TEST_CASE("a rotation that would come too late is refused") {
  CHECK(errors_of(with("rotation: { at: 0.9, jitter: 0.3 }\n")) ==
        "a.yaml:5:30: rotation.jitter: with at 0.9 it may be as late as 1.17 of the life before "
        "renewal; at * (1 + jitter) must be at most 0.95\n");
}

TEST_CASE("the allowed lives can be set, the shortest below the longest") {
  auto config =
      parse_config(with("rotation: { shortest_life: 10s, longest_life: 36h }\n"), "a.yaml");
  REQUIRE(config);
  CHECK(config->rotation.life.shortest == 10s);
  CHECK(config->rotation.life.longest == 36h);

  CHECK(errors_of(with("rotation: { shortest_life: 25h }\n")) ==
        "a.yaml:5:11: rotation.longest_life: 1d must be longer than shortest_life, 1d1h\n");
  CHECK(errors_of(with("rotation: { shortest_life: 2m, longest_life: 1m }\n")) ==
        "a.yaml:5:46: rotation.longest_life: 1m must be longer than shortest_life, 2m\n");
}

TEST_CASE("every limit has its own range") {
  CHECK(errors_of(with("limits: { connections: 0, header_bytes: 1KiB, preface_timeout: 2 }\n")) ==
        "a.yaml:5:24: limits.connections: must be a whole number between 1 and 1000000, got \"0\"\n"
        "a.yaml:5:41: limits.header_bytes: must be between 4KiB and 1MiB, got \"1KiB\"\n"
        "a.yaml:5:64: limits.preface_timeout: must be a duration such as 1h30m, 30s or 250ms, got "
        "\"2\"\n");
}

TEST_CASE("every limit can be set by its name") {
  auto config = parse_config(with(R"(limits:
  connections: 11
  connections_per_uid: 12
  streams_per_connection: 13
  new_streams_per_second: 14
  header_bytes: 5000
  workload_request_bytes: 5001
  sds_request_bytes: 5002
  buffered_bytes: 2000000
  preface_timeout: 1s
  half_sent_timeout: 2s
  pings_per_second: 15
  resets_per_second: 16
  settings_per_second: 17
  write_stall_timeout: 1500ms
)"),
                             "a.yaml");

  REQUIRE(config);
  const Limits& limits = config->limits;
  CHECK(limits.connections == 11);
  CHECK(limits.connections_per_uid == 12);
  CHECK(limits.streams_per_connection == 13);
  CHECK(limits.new_streams_per_second == 14);
  CHECK(limits.header_bytes == 5000);
  CHECK(limits.workload_request_bytes == 5001);
  CHECK(limits.sds_request_bytes == 5002);
  CHECK(limits.buffered_bytes == 2000000);
  CHECK(limits.preface_timeout == 1s);
  CHECK(limits.half_sent_timeout == 2s);
  CHECK(limits.pings_per_second == 15);
  CHECK(limits.resets_per_second == 16);
  CHECK(limits.settings_per_second == 17);
  CHECK(limits.write_stall_timeout == 1500ms);
  CHECK(sizeof(Limits) == 14 * sizeof(std::size_t));  // none was left out
}

TEST_CASE("size and depth are bounded") {
  std::string large = with("# ");
  large.resize(1024 * 1024, '#');

  CHECK(errors_of(large) == "");
  CHECK(errors_of(large + "#") == "a.yaml: larger than 1 MiB\n");
  CHECK(errors_of(with("x: " + std::string(15, '[') + std::string(15, ']'))) ==
        "a.yaml:5:1: unknown key \"x\"\n");
  CHECK(errors_of(with("x: " + std::string(16, '[') + std::string(16, ']'))) ==
        "a.yaml:5:19: YAML: nested more than 16 levels deep\n");
  for (const char* opening : {"[", "{", "- ", "? ", "[a,", "{a: "}) {
    std::string deep;
    while (deep.size() < 1000 * 1000) deep += opening;
    CHECK(errors_of(deep).find("nested more than 16 levels deep") != std::string::npos);
  }
}

TEST_CASE("thousands of mistakes are cut to a hundred") {
  std::string yaml = with("");
  for (int i = 0; i < 50000; ++i) yaml += "log: {}\n";

  auto config = parse_config(yaml, "a.yaml");

  REQUIRE_FALSE(config);
  CHECK(config.error().size() == 101);
  CHECK(config.error().back().str() == "a.yaml: and 49899 more");
}

TEST_CASE("a file cut off or damaged at any byte gives errors or a valid configuration") {
  int valid = 0;
  for (std::size_t i = 0; i < kGood.size(); ++i) {
    if (parse_config(kGood.substr(0, i), "cut.yaml")) ++valid;
    for (char c : {'"', '{', ']', ':', '*', '\n', '-'}) {
      std::string damaged(kGood);
      damaged[i] = c;
      if (parse_config(damaged, "damaged.yaml")) ++valid;
    }
  }

  CHECK(valid > 0);  // a damaged comment or a missing last line does no harm
}

TEST_CASE("a file is read through symbolic links, as a ConfigMap shows it") {
  TemporaryDirectory dir;
  std::ofstream(dir.path() / "data.yaml") << kGood;
  std::filesystem::create_symlink("data.yaml", dir.path() / "agent.yaml");

  auto config = load_config(dir.path() / "agent.yaml");

  REQUIRE(config);
  CHECK(config->entries.size() == 3);
}

TEST_CASE("a file that cannot be read is one error with its name") {
  TemporaryDirectory dir;
  std::string missing = (dir.path() / "none.yaml").string();

  auto config = load_config(missing);
  auto directory = load_config(dir.path());

  REQUIRE_FALSE(config);
  REQUIRE(config.error().size() == 1);
  CHECK(config.error()[0].str() == missing + ": No such file or directory");
  REQUIRE_FALSE(directory);
  CHECK(directory.error()[0].str() ==
        dir.path().string() + ": open " + dir.path().string() + ": not a regular file");
}

TEST_CASE("the development configuration lies below one directory and serves one uid") {
  Config config = dev_config("/tmp/dev", 1000);

  CHECK(config.trust_domain.name() == "dev.local");
  CHECK(config.listen.path == "/tmp/dev/public/api.sock");
  CHECK(config.admin.path == "/tmp/dev/admin/admin.sock");
  CHECK(config.state_dir == "/tmp/dev/state");
  REQUIRE(config.entries.size() == 1);
  CHECK(config.entries[0].id == "spiffe://dev.local/uid/1000");
  CHECK(config.entries[0].spiffe_id.str() == "spiffe://dev.local/uid/1000");
  CHECK(config.entries[0].match == Selectors{{"unix", "uid:1000"}});
  CHECK(config.entries[0].ttl == 1h);
}

}  // namespace
}  // namespace nodepilot
