#include "agent/config/sds.h"

#include <doctest/doctest.h>

#include "agent/config/config.h"
#include "test/config/mistakes.h"

namespace nodepilot {
namespace {

// A file with one identity, of which line 5 is `key: value`; `more` is from line 6 on.
std::string with(const std::string& identity_line, const std::string& more = "") {
  return "trust_domain: example.org\n"
         "identities:\n"
         "  - id: /web\n"
         "    match: [unix:uid:1]\n"
         "    " +
         identity_line + "\n" + more;
}

std::string with_sds(const std::string& section) {
  return with("hint: a", "sds: { " + section + " }\n");
}

std::string errors_of(const std::string& yaml) { return mistakes_in(parse_config(yaml, "a.yaml")); }

Entry entry_of(const std::string& yaml) {
  auto config = parse_config(yaml, "a.yaml");
  REQUIRE(config);
  return config->entries.front();
}

TEST_CASE("validation and switches take the words that they know") {
  CHECK(errors_of(with_sds("validation: spiffe, system_roots: true")).empty());
  CHECK(errors_of(with_sds("validation: none")) ==
        "a.yaml:6:20: sds.validation: must be spiffe or trusted_ca, got \"none\"\n");
  CHECK(errors_of(with_sds("system_roots: yes")) ==
        "a.yaml:6:22: sds.system_roots: must be true or false, got \"yes\"\n");
  CHECK(
      errors_of(with_sds("default_svid_nam: a")) ==
      "a.yaml:6:8: sds: unknown key \"default_svid_nam\" (did you mean \"default_svid_name\"?)\n");
}

TEST_CASE("a name of ours cannot be taken for one of another kind") {
  for (const char* name :
       {"", "*", "spiffe://example.org", "file-root:system", "a b", "\\n", "\\u00e9"}) {
    CAPTURE(name);
    CHECK(errors_of(with_sds(std::string("default_bundle_name: \"") + name + "\""))
              .find("a.yaml:6:29: sds.default_bundle_name: must be 1 to 256 printable ASCII") == 0);
  }
  std::string longest(256, 'x');
  CHECK(errors_of(with_sds("default_bundle_name: " + longest)).empty());
  CHECK_FALSE(errors_of(with_sds("default_bundle_name: x" + longest)).empty());
}

TEST_CASE("no two of our names are equal") {
  CHECK(errors_of(with_sds("default_bundle_name: ALL")) ==
        "a.yaml:6:6: sds.default_all_bundles_name: must not be that of another secret, \"ALL\"\n");
  CHECK(errors_of(with_sds("default_svid_name: ALL")) ==
        "a.yaml:6:6: sds.default_all_bundles_name: must not be that of another secret, \"ALL\"\n");
  CHECK(errors_of(with_sds("default_svid_name: a, default_bundle_name: a")) ==
        "a.yaml:6:51: sds.default_bundle_name: must not be that of default_svid_name, \"a\"\n");
  CHECK(errors_of(with_sds("default_svid_name: ROOTCA, default_bundle_name: default")).empty());
}

TEST_CASE("files are granted by directories") {
  CHECK(entry_of(with("files: [/etc/certs, /srv/a]")).files ==
        std::vector<std::filesystem::path>{"/etc/certs", "/srv/a"});

  CHECK(errors_of(with("files: [/]")).find("a.yaml:5:13: identities[0].files[0]: must be an") == 0);
  CHECK(errors_of(with("files: [certs]")).find("a.yaml:5:13: identities[0].files[0]: must be") ==
        0);
  CHECK(errors_of(with("files: [/a, /b, /a]")) ==
        "a.yaml:5:21: identities[0].files[2]: \"/a\" is listed twice\n");
  CHECK(errors_of(with("files: []")) ==
        "a.yaml:5:12: identities[0].files: must not be empty: leave it out to grant no file\n");
  CHECK(errors_of(with("files: /a")) ==
        "a.yaml:5:12: identities[0].files: must be a list, got \"/a\"\n");
}

TEST_CASE("no grant of files reaches the keys of the agent") {
  const std::string own =
      "state_dir: /srv/np/state\n"
      "ca: { local: { certificate_file: /etc/ca/a.pem, key_file: /etc/ca/a.key } }\n"
      "bundle_endpoint: { listen: 0.0.0.0:443, profile: https_web, certificate_file: "
      "/etc/web/a.pem,"
      " key_file: /etc/web/a.key }\n";
  auto errors = [&](const std::string& directory) {
    return errors_of(with("files: [" + directory + "]", own));
  };

  for (const char* directory : {"/srv/np/state", "/srv/np", "/srv", "/srv/np/state/deeper"}) {
    CHECK(errors(directory) ==
          "a.yaml:3:3: identities: files of spiffe://example.org/web must not reach state_dir: " +
              std::string(directory) + "\n");
  }
  for (const char* directory : {"/etc/ca", "/etc"}) {
    CHECK(errors(directory) ==
          "a.yaml:3:3: identities: files of spiffe://example.org/web must not "
          "reach ca.local.key_file: " +
              std::string(directory) + "\n");
  }
  CHECK(errors("/etc/web") ==
        "a.yaml:3:3: identities: files of spiffe://example.org/web must not reach "
        "bundle_endpoint.key_file: /etc/web\n");
  CHECK(errors("/srv/np/states").empty());
  CHECK(errors("/etc/ca-certificates").empty());
}

TEST_CASE("peers are told by exact ID, by prefix and by suffix") {
  PeerRules peers = entry_of(with("peers: [ { uri: { exact: spiffe://example.org/a } },"
                                  " { uri: { prefix: spiffe://example.org/ns/shop/ } },"
                                  " { uri: { prefix: spiffe://other.org/ } },"
                                  " { uri: { suffix: /sa/web } } ]"))
                        .peers;

  CHECK(peers == PeerRules{{PeerRule::Kind::kExact, "spiffe://example.org/a"},
                           {PeerRule::Kind::kPrefix, "spiffe://example.org/ns/shop/"},
                           {PeerRule::Kind::kPrefix, "spiffe://other.org/"},
                           {PeerRule::Kind::kSuffix, "/sa/web"}});
}

TEST_CASE("a peer that would match more than it says, or nothing, is refused") {
  auto error = [](const std::string& matcher) {
    return errors_of(with("peers: [ { uri: { " + matcher + " } } ]"));
  };

  CHECK(error("exact: spiffe://example.org") ==
        "a.yaml:5:30: identities[0].peers[0].uri.exact: must be the SPIFFE ID of a workload, with "
        "a path, got \"spiffe://example.org\"\n");
  CHECK(error("prefix: spiffe://example.org/web") ==
        "a.yaml:5:31: identities[0].peers[0].uri.prefix: must end in \"/\": it would also match "
        "IDs that only begin alike, got \"spiffe://example.org/web\"\n");
  CHECK(error("suffix: web") ==
        "a.yaml:5:31: identities[0].peers[0].uri.suffix: must begin with \"/\": it would also "
        "match IDs that only end alike, got \"web\"\n");
  for (const char* bad :
       {"exact: /web", "prefix: /web/", "prefix: spiffe:///", "prefix: https://a/", "suffix: /we b",
        "suffix: /web/", "exact: spiffe://EXAMPLE.org/a"}) {
    CAPTURE(bad);
    CHECK_FALSE(error(bad).empty());
  }
}

TEST_CASE("a peer has exactly one matcher, of its URI") {
  CHECK(errors_of(with("peers: [ { uri: {} } ]")) ==
        "a.yaml:5:21: identities[0].peers[0].uri: must have one of exact, prefix and suffix, got "
        "0\n");
  CHECK(
      errors_of(with("peers: [ { uri: { exact: spiffe://a/b, suffix: /b } } ]")).find("got 2\n") !=
      std::string::npos);
  CHECK(errors_of(with("peers: [ {} ]")) ==
        "a.yaml:5:14: identities[0].peers[0]: key \"uri\" is missing\n");
  CHECK(errors_of(with("peers: [ { dns: { exact: a } } ]"))
            .find("identities[0].peers[0]: unknown key \"dns\"") != std::string::npos);
  CHECK(errors_of(with("peers: [ { uri: { contains: a } } ]"))
            .find("identities[0].peers[0].uri: unknown key \"contains\"") != std::string::npos);
  CHECK(errors_of(with("peers: []")) ==
        "a.yaml:5:12: identities[0].peers: must not be empty: leave it out to accept every peer\n");
  CHECK(errors_of(with("peers: [ { uri: { suffix: /a } }, { uri: { suffix: /a } } ]"))
            .find("identities[0].peers[1]: repeats \"/a\"") != std::string::npos);
}

}  // namespace
}  // namespace nodepilot
