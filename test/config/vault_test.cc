#include "agent/config/vault.h"

#include <doctest/doctest.h>

#include "agent/config/config.h"
#include "test/config/mistakes.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;

// A file with one identity and `ca`, which begins in line 2.
tl::expected<Config, ConfigErrors> read(const std::string& ca, const std::string& more = "") {
  return parse_config("ca:\n" + ca +
                          "trust_domain: example.org\n"
                          "identities: [{ id: /web, match: [\"unix:uid:1\"]" +
                          more + " }]\n",
                      "a.yaml");
}

std::string errors_of(const std::string& ca) { return mistakes_in(read(ca)); }

// `ca.vault` in one line, with a token file; `more` begins in column 67.
std::string line(const std::string& more) {
  return "  vault: { address: https://v, role: r, auth: { token_file: /t }, " + more + " }\n";
}
std::string with_auth(const std::string& auth) {
  return "  vault: { address: https://v, role: r, auth: { " + auth + " } }\n";
}

TEST_CASE("a vault is read as written") {
  auto config = read(R"(
  vault:
    addresses: [https://a.example.org:8200, https://b.example.org:8200/]
    mount: team/pki
    role: nodepilot
    ttl: 30m
    ca_file: /etc/vault-ca.pem
    trust_bundle_file: /etc/roots.pem
    namespace: prod/eu
    timeout: 5s
    auth: { approle: { role_id: 6a1-b, secret_id_file: /etc/secret-id } }
)");

  REQUIRE_MESSAGE(config, mistakes_in(config));
  const auto& vault = std::get<VaultOptions>(config->ca);
  REQUIRE(vault.addresses.size() == 2);
  CHECK(vault.addresses[0].str() == "https://a.example.org:8200");
  CHECK(vault.addresses[1].host() == "b.example.org");
  CHECK(vault.mount == "team/pki");
  CHECK(vault.role == "nodepilot");
  CHECK(vault.ca_file == "/etc/vault-ca.pem");
  CHECK(vault.trust_bundle_file == "/etc/roots.pem");
  CHECK(vault.name_space == "prod/eu");
  CHECK(vault.timeout == 5s);
  const auto& role = std::get<VaultAppRole>(vault.auth);
  CHECK(role.mount == "approle");
  CHECK(role.role_id == "6a1-b");
  CHECK(role.secret_id_file == "/etc/secret-id");
  CHECK(config->entries[0].ttl == 30min);
}

TEST_CASE("a vault needs an address, a role and a login; the rest has defaults") {
  auto config = read(with_auth("token_file: /run/token"));

  REQUIRE_MESSAGE(config, mistakes_in(config));
  const auto& vault = std::get<VaultOptions>(config->ca);
  CHECK(vault.mount == "pki");
  CHECK(vault.name_space.empty());
  CHECK(vault.timeout == 10s);
  CHECK_FALSE(vault.ca_file);
  CHECK_FALSE(vault.trust_bundle_file);
  CHECK(std::get<VaultTokenFile>(vault.auth).file == "/run/token");
  CHECK(config->entries[0].ttl == 1h);
  CHECK(errors_of("  vault: {}\n") ==
        "a.yaml:2:10: ca.vault: key \"address\" is missing\n"
        "a.yaml:2:10: ca.vault: key \"role\" is missing\n"
        "a.yaml:2:10: ca.vault: key \"auth\" is missing\n");
}

TEST_CASE("each login has its own keys") {
  auto kubernetes = read(with_auth("kubernetes: { role: node }"));
  auto named = read(with_auth("kubernetes: { role: node, mount: eu/k8s, jwt_file: /jwt }"));
  auto cert = read(with_auth("cert: { certificate_file: /c, key_file: /k }"));

  REQUIRE_MESSAGE(kubernetes, mistakes_in(kubernetes));
  auto account = std::get<VaultKubernetes>(std::get<VaultOptions>(kubernetes->ca).auth);
  CHECK(account.mount == "kubernetes");
  CHECK(account.jwt_file == "/var/run/secrets/kubernetes.io/serviceaccount/token");
  REQUIRE_MESSAGE(named, mistakes_in(named));
  CHECK(std::get<VaultKubernetes>(std::get<VaultOptions>(named->ca).auth).mount == "eu/k8s");
  REQUIRE_MESSAGE(cert, mistakes_in(cert));
  auto certificate = std::get<VaultCertificate>(std::get<VaultOptions>(cert->ca).auth);
  CHECK(certificate.mount == "cert");
  CHECK(certificate.role.empty());
  CHECK(certificate.key_file == "/k");
  CHECK(errors_of(with_auth("approle: {}")) ==
        "a.yaml:2:58: ca.vault.auth.approle: key \"role_id\" is missing\n"
        "a.yaml:2:58: ca.vault.auth.approle: key \"secret_id_file\" is missing\n");
  CHECK(errors_of(with_auth("kubernetes: {}")) ==
        "a.yaml:2:61: ca.vault.auth.kubernetes: key \"role\" is missing\n");
  CHECK(errors_of(with_auth("cert: { role: x }")) ==
        "a.yaml:2:55: ca.vault.auth.cert: key \"certificate_file\" is missing\n"
        "a.yaml:2:55: ca.vault.auth.cert: key \"key_file\" is missing\n");
}

TEST_CASE("exactly one login is given") {
  const std::string choice = "exactly one of token_file, approle, kubernetes and cert\n";

  CHECK(errors_of(with_auth("")) == "a.yaml:2:47: ca.vault.auth: must hold " + choice);
  CHECK(errors_of(with_auth("token_file: /t, cert: { certificate_file: /c, key_file: /k }")) ==
        "a.yaml:2:71: ca.vault.auth.cert: must not be given beside another: " + choice);
  CHECK(errors_of("  vault: { address: https://v, role: r, auth: token }\n") ==
        "a.yaml:2:47: ca.vault.auth: must be a mapping (name: value), got \"token\"\n");
  CHECK(errors_of(with_auth("token_fil: /t")).find("(did you mean \"token_file\"?)") !=
        std::string::npos);
}

TEST_CASE("one address, or a list of up to eight") {
  const std::string rest = ", role: r, auth: { token_file: /t } }\n";
  auto errors = [&](const std::string& addresses) {
    return errors_of("  vault: { " + addresses + rest);
  };
  std::string nine;
  for (int i = 0; i < 9; ++i) nine += "https://v, ";

  CHECK(errors("address: https://v, addresses: [https://w]") ==
        "a.yaml:2:21: ca.vault.address: must not be given beside addresses\n");
  CHECK(errors("addresses: []") ==
        "a.yaml:2:23: ca.vault.addresses: must hold between 1 and 8 addresses, got 0\n");
  CHECK(errors("addresses: [" + nine + "]") ==
        "a.yaml:2:23: ca.vault.addresses: must hold between 1 and 8 addresses, got 9\n");
  CHECK(errors("addresses: https://v").find("must be a list") != std::string::npos);
  CHECK(errors("addresses: [https://v, http://w]") ==
        "a.yaml:2:35: ca.vault.addresses[1]: must be an https URL: it must start with https://, "
        "got \"http://w\"\n");
  CHECK(errors("address: https://v/ui") ==
        "a.yaml:2:21: ca.vault.address: must end after the host or port, as in "
        "https://vault.example.org:8200, got \"https://v/ui\"\n");
}

TEST_CASE("what stands in a request's path is checked") {
  for (const char* mount : {"\"\"", "/pki", "pki/", "a//b", "../sys", "a/../b", "\"a b\"",
                            "\"a?b\"", "a%2fb", "pki#x"}) {
    CAPTURE(mount);
    CHECK(errors_of(line(std::string("mount: ") + mount))
              .find("a.yaml:2:74: ca.vault.mount: must be names with \"/\" between them, such as "
                    "pki or team/pki, got ") == 0);
    CHECK(errors_of(line(std::string("namespace: ") + mount)).find("ca.vault.namespace: must be") !=
          std::string::npos);
  }
  for (const char* role : {"\"\"", "a/b", "..", "\"a b\"", "\"a\\nb\""}) {
    CAPTURE(role);
    CHECK(errors_of(with_auth(std::string("kubernetes: { role: ") + role + " }"))
              .find("must be a name of letters, digits, \".\", \"-\" and \"_\", got ") !=
          std::string::npos);
  }
}

TEST_CASE("values of a vault are checked") {
  CHECK(errors_of(line("timeout: 61s")) ==
        "a.yaml:2:76: ca.vault.timeout: must be between 1s and 1m, got \"61s\"\n");
  CHECK(errors_of(line("ttl: 1500ms")).find("a.yaml:2:72: ca.vault.ttl: ") == 0);
  CHECK(errors_of(line("ca_file: ca.pem")).find("a.yaml:2:76: ca.vault.ca_file: ") == 0);
  CHECK(errors_of(line("tll: 1h")) ==
        "a.yaml:2:67: ca.vault: unknown key \"tll\" (did you mean \"ttl\"?)\n");
}

TEST_CASE("only one kind of CA is given") {
  CHECK(errors_of("  local: { ttl: 1h }\n" + with_auth("token_file: /t")) ==
        "a.yaml:3:10: ca.vault: only one kind of CA can sign, but local is given as well; leave "
        "one of them out\n");
}

TEST_CASE("no grant of files reaches what proves us to vault") {
  for (const auto& row : std::vector<std::pair<std::string, std::string>>{
           {"token_file: /v/x", "token_file"},
           {"approle: { role_id: a, secret_id_file: /v/x }", "approle.secret_id_file"},
           {"kubernetes: { role: a, jwt_file: /v/x }", "kubernetes.jwt_file"},
           {"cert: { certificate_file: /c, key_file: /v/x }", "cert.key_file"}}) {
    const std::string& key = row.second;
    CAPTURE(key);
    CHECK(mistakes_in(read(with_auth(row.first), ", files: [/v]"))
              .find("files of spiffe://example.org/web must not reach ca.vault.auth." + key +
                    ": /v") != std::string::npos);
  }
}

}  // namespace
}  // namespace nodepilot
