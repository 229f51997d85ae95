#include "sds/secret_resources.h"

#include <doctest/doctest.h>

#include "agent/base/sha256.h"
#include "test/sds/kit.h"

namespace nodepilot {
namespace {

using testing::federate;
using testing::kNow;
using testing::make_entry;
using testing::make_update;
using testing::TestCa;

namespace tls = envoy::extensions::transport_sockets::tls::v3;
using envoy::config::core::v3::Node;

constexpr TrustForm kForms[] = {TrustForm::kSpiffeValidator, TrustForm::kTrustedCa};

SecretView view_of(const WorkloadUpdate& update) {
  return {std::make_shared<const WorkloadUpdate>(update), {}};
}

SecretState state(const WorkloadUpdate& update, const std::string& name,
                  TrustForm form = TrustForm::kSpiffeValidator,
                  const SecretOptions& options = SecretOptions()) {
  return find_secret(view_of(update), name, options, form).state;
}

std::optional<tls::Secret> secret(const WorkloadUpdate& update, const std::string& name,
                                  TrustForm form = TrustForm::kSpiffeValidator,
                                  const SecretOptions& options = SecretOptions()) {
  SecretView view = view_of(update);
  auto found = find_secret(view, name, options, form);
  if (found.state != SecretState::kPresent) return std::nullopt;
  return render_secret(name, found.content);
}

FileSecretPtr file_secret(const TestCa& ca, bool with_key) {
  SvidPtr svid = ca.issue(make_entry("file"));
  if (!with_key)
    return std::make_shared<const FileSecret>(FileSecret{ca.bundle()->roots(), {}, "r", ""});
  return std::make_shared<const FileSecret>(FileSecret{svid->chain(), svid->key(), "c", ""});
}

// The trust domains of a secret for the SPIFFE validator, with their roots.
std::vector<std::pair<std::string, std::string>> validator_of(const tls::Secret& secret) {
  const auto& extension = secret.validation_context().custom_validator_config();
  CHECK(extension.name() == "envoy.tls.cert_validator.spiffe");
  CHECK(extension.typed_config().type_url() ==
        "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig");
  tls::SPIFFECertValidatorConfig config;
  REQUIRE(extension.typed_config().UnpackTo(&config));
  std::vector<std::pair<std::string, std::string>> found;
  for (const auto& domain : config.trust_domains()) {
    found.emplace_back(domain.name(), domain.trust_bundle().inline_bytes());
  }
  return found;
}

Node node_with(const google::protobuf::Value& disable) {
  Node node;
  (*node.mutable_metadata()->mutable_fields())["disable_spiffe_cert_validation"] = disable;
  return node;
}
Node node_saying(const std::string& text) {
  google::protobuf::Value value;
  value.set_string_value(text);
  return node_with(value);
}
Node envoy(unsigned major, unsigned minor) {
  Node node;
  auto& version = *node.mutable_user_agent_build_version()->mutable_version();
  version.set_major_number(major);
  version.set_minor_number(minor);
  return node;
}

TEST_CASE("an identity is a PEM chain with its PKCS#8 PEM key") {
  TestCa ca("example.org");
  WorkloadUpdate update = make_update(ca, {make_entry("web")});

  for (const char* name : {"default", "spiffe://example.org/web"}) {
    for (TrustForm form : kForms) {
      auto found = secret(update, name, form);

      REQUIRE(found);
      CHECK(found->name() == name);
      REQUIRE(found->has_tls_certificate());
      const auto& certificate = found->tls_certificate();
      auto chain = Certificate::parse_pem(certificate.certificate_chain().inline_bytes());
      REQUIRE(chain);
      CHECK(verify_peer_chain(*chain, *update.bundle, kNow).value().str() ==
            "spiffe://example.org/web");
      const std::string& pem = certificate.private_key().inline_bytes();
      CHECK(pem.find("-----BEGIN PRIVATE KEY-----") == 0);
      auto key = PrivateKey::parse_pem(SecretBytes(pem.begin(), pem.end()));
      REQUIRE(key);
      CHECK(chain->front().has_key(*key));
    }
  }
}

TEST_CASE("the default identity is the first in entry order") {
  TestCa ca("example.org");
  WorkloadUpdate update = make_update(ca, {make_entry("z"), make_entry("a")});

  SecretView view = view_of(update);
  auto found = find_secret(view, "default", SecretOptions(), kForms[0]);

  REQUIRE(found.state == SecretState::kPresent);
  CHECK(found.content.identity == &view.update->svids[0]);
}

TEST_CASE("the default identity waits while an earlier entry may still get its SVID") {
  TestCa ca("example.org");
  WorkloadUpdate update = make_update(ca, {make_entry("second")});
  update.settled = false;

  CHECK(state(update, "default") == SecretState::kPending);
  CHECK(state(update, "spiffe://example.org/second") == SecretState::kPresent);
}

TEST_CASE("for the SPIFFE validator each name has the roots of its trust domains") {
  TestCa ca("example.org");
  TestCa other("a-partner.org");
  TestCa third("third.org");
  WorkloadUpdate update = make_update(ca, {});
  federate(update, other);
  federate(update, third);
  using Roots = std::vector<std::pair<std::string, std::string>>;
  const Roots own{{"example.org", ca.bundle()->pem()}};

  CHECK(validator_of(secret(update, "ROOTCA").value()) == own);
  CHECK(validator_of(secret(update, "spiffe://example.org").value()) == own);
  CHECK(validator_of(secret(update, "spiffe://third.org").value()) ==
        Roots{{"third.org", third.bundle()->pem()}});
  CHECK(validator_of(secret(update, "ALL").value()) ==
        Roots{{"a-partner.org", other.bundle()->pem()},
              {"example.org", ca.bundle()->pem()},
              {"third.org", third.bundle()->pem()}});
  CHECK_FALSE(secret(update, "ROOTCA")->validation_context().has_trusted_ca());
}

TEST_CASE("as a plain list every name has the roots of one trust domain, and ALL has none") {
  TestCa ca("example.org");
  TestCa other("other.org");
  WorkloadUpdate update = make_update(ca, {});
  federate(update, other);
  auto roots = [&](const std::string& name) {
    auto found = secret(update, name, TrustForm::kTrustedCa).value();
    CHECK(found.name() == name);
    CHECK_FALSE(found.validation_context().has_custom_validator_config());
    return found.validation_context().trusted_ca().inline_bytes();
  };

  CHECK(roots("ROOTCA") == ca.bundle()->pem());
  CHECK(roots("spiffe://example.org") == ca.bundle()->pem());
  CHECK(roots("spiffe://other.org") == other.bundle()->pem());
  CHECK(state(update, "ALL", TrustForm::kTrustedCa) == SecretState::kAbsent);
}

TEST_CASE("a federated bundle never stands in for our own") {
  TestCa ca("example.org");
  TestCa impostor("example.org");
  WorkloadUpdate update = make_update(ca, {});
  federate(update, impostor);

  for (const char* name : {"ROOTCA", "ALL", "spiffe://example.org"}) {
    auto found = validator_of(secret(update, name).value());

    CHECK(found.size() == 1);
    CHECK(found.front().second == ca.bundle()->pem());
  }
}

TEST_CASE("a name that the caller does not hold stands for nothing") {
  TestCa ca("example.org");
  WorkloadUpdate update = make_update(ca, {make_entry("web")});
  const std::vector<std::string> names{"",
                                       "spiffe://example.org/db",
                                       "spiffe://example.org/web/",
                                       "spiffe://other.org",
                                       "/web",
                                       "spiffe://example.org/",
                                       "spiffe://example.org/WEB",
                                       "rootca",
                                       "web",
                                       "Default",
                                       "file-other:/etc/a",
                                       "kubernetes://secret",
                                       "*",
                                       "all",
                                       "default ",
                                       "example.org"};

  for (const std::string& name : names) {
    for (TrustForm form : kForms) {
      CAPTURE(name);
      CHECK(state(update, name, form) == SecretState::kAbsent);
    }
  }
}

TEST_CASE(
    "what the caller is entitled to is pending until it is there, and again once it has ended") {
  TestCa ca("example.org");
  WorkloadUpdate update = make_update(ca, {make_entry("web")});
  update.svids.clear();

  for (bool settled : {false, true}) {
    update.settled = settled;
    CHECK(state(update, "default") == SecretState::kPending);
    CHECK(state(update, "spiffe://example.org/web") == SecretState::kPending);
    CHECK(state(update, "spiffe://example.org/db") == SecretState::kAbsent);
  }
}

TEST_CASE("before the bundle is known our own trust is pending and nothing is listed") {
  TestCa ca("example.org");
  WorkloadUpdate update = make_update(ca, {make_entry("web")});
  update.svids.clear();
  update.bundle.reset();

  for (const char* name : {"ROOTCA", "ALL", "spiffe://example.org"}) {
    CHECK(state(update, name) == SecretState::kPending);
  }
  CHECK(state(update, "spiffe://other.org") == SecretState::kAbsent);
  CHECK(all_secret_names(update).empty());
}

TEST_CASE("everything is trust domains by name and identities in order, without aliases") {
  TestCa ca("example.org");
  TestCa other("a-partner.org");
  WorkloadUpdate update = make_update(ca, {make_entry("z"), make_entry("a")});
  federate(update, other);

  CHECK(all_secret_names(update) ==
        std::vector<std::string>{"spiffe://a-partner.org", "spiffe://example.org",
                                 "spiffe://example.org/z", "spiffe://example.org/a"});
}

TEST_CASE("node metadata can ask for a plain list of roots, or for the SPIFFE validator") {
  auto form = [](const std::string& text) { return trust_form(node_saying(text), kForms[0]); };
  google::protobuf::Value value;

  for (const char* yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    CHECK(form(yes) == TrustForm::kTrustedCa);
  }
  for (const char* no : {"0", "f", "F", "false", "FALSE", "False"}) {
    CHECK(trust_form(node_saying(no), TrustForm::kTrustedCa) == TrustForm::kSpiffeValidator);
  }
  value.set_bool_value(true);
  CHECK(trust_form(node_with(value), kForms[0]) == TrustForm::kTrustedCa);
  value.set_bool_value(false);
  CHECK(trust_form(node_with(value), TrustForm::kTrustedCa) == TrustForm::kSpiffeValidator);
}

TEST_CASE("without a word that counts in its metadata a node gets the configured form") {
  google::protobuf::Value number;
  number.set_number_value(1);
  google::protobuf::Value list;
  list.mutable_list_value()->add_values()->set_bool_value(true);

  for (TrustForm configured : kForms) {
    for (const char* word : {"", "yes", "tRUE", "true ", "on"}) {
      CHECK(trust_form(node_saying(word), configured) == configured);
    }
    CHECK(trust_form(node_with(number), configured) == configured);
    CHECK(trust_form(node_with(list), configured) == configured);
    CHECK(trust_form(Node(), configured) == configured);
  }
}

TEST_CASE("an Envoy without the SPIFFE validator gets a plain list of roots") {
  CHECK(trust_form(envoy(1, 17), kForms[0]) == TrustForm::kTrustedCa);
  CHECK(trust_form(envoy(1, 0), kForms[0]) == TrustForm::kTrustedCa);
  CHECK(trust_form(envoy(1, 18), kForms[0]) == TrustForm::kSpiffeValidator);
  CHECK(trust_form(envoy(2, 3), kForms[0]) == TrustForm::kSpiffeValidator);
  CHECK(trust_form(envoy(0, 0), kForms[0]) == TrustForm::kSpiffeValidator);
  Node old = node_saying("false");
  *old.mutable_user_agent_build_version() = envoy(1, 17).user_agent_build_version();
  CHECK(trust_form(old, kForms[0]) == TrustForm::kTrustedCa);
}

TEST_CASE("a version tells content apart and nothing else") {
  TestCa ca("example.org");
  TestCa other("other.org");
  WorkloadUpdate update = make_update(ca, {make_entry("web"), make_entry("db")});
  federate(update, other);
  auto version = [](const WorkloadUpdate& u, const char* name, TrustForm form = kForms[0]) {
    SecretView view = view_of(u);
    return secret_version(find_secret(view, name, SecretOptions(), form).content);
  };

  SUBCASE("it is a digest") {
    CHECK(version(update, "ROOTCA").size() == 64);
    CHECK(version(update, "default") ==
          sha256_hex(concatenated_der(update.svids[0].svid->chain())));
  }
  SUBCASE("aliases are equal") {
    CHECK(version(update, "default") == version(update, "spiffe://example.org/web"));
    CHECK(version(update, "ROOTCA") == version(update, "spiffe://example.org"));
  }
  SUBCASE("other things differ") {
    CHECK(version(update, "default") != version(update, "spiffe://example.org/db"));
    CHECK(version(update, "ROOTCA") != version(update, "ALL"));
    CHECK(version(update, "ROOTCA") != version(update, "spiffe://other.org"));
    CHECK(version(update, "ROOTCA") != version(update, "ROOTCA", TrustForm::kTrustedCa));
  }
  SUBCASE("a renewal differs, in its own name only") {
    WorkloadUpdate renewed = update;
    renewed.svids[0].svid = ca.issue(*renewed.svids[0].entry);
    CHECK(version(update, "default") != version(renewed, "default"));
    CHECK(version(update, "spiffe://example.org/db") ==
          version(renewed, "spiffe://example.org/db"));
    CHECK(version(update, "ROOTCA") == version(renewed, "ROOTCA"));
  }
  SUBCASE("a further root differs") {
    WorkloadUpdate rooted = update;
    rooted.bundle = ca.bundle_with(TestCa("example.org"));
    CHECK(version(update, "ROOTCA") != version(rooted, "ROOTCA"));
    CHECK(version(update, "ALL") != version(rooted, "ALL"));
    CHECK(version(update, "default") == version(rooted, "default"));
  }
  SUBCASE("other peers differ, in trust only") {
    Entry restricted = *update.entries[0];
    restricted.peers = {{PeerRule::Kind::kExact, "spiffe://example.org/a"}};
    WorkloadUpdate exact = update;
    exact.entries[0] = std::make_shared<const Entry>(restricted);
    restricted.peers = {{PeerRule::Kind::kPrefix, "spiffe://example.org/a"}};
    WorkloadUpdate prefix = update;
    prefix.entries[0] = std::make_shared<const Entry>(restricted);
    CHECK(version(update, "ROOTCA") != version(exact, "ROOTCA"));
    CHECK(version(exact, "ROOTCA") != version(prefix, "ROOTCA"));
    CHECK(version(update, "default") == version(exact, "default"));
  }
}

TEST_CASE("names are those of the configuration") {
  TestCa ca("example.org");
  WorkloadUpdate update = make_update(ca, {make_entry("web")});
  SecretOptions options;
  options.default_identity = "mine";
  options.own_roots = "ours";
  options.all_roots = "theirs";

  CHECK(secret(update, "mine", kForms[0], options)->has_tls_certificate());
  CHECK(validator_of(secret(update, "ours", kForms[0], options).value()).size() == 1);
  CHECK(validator_of(secret(update, "theirs", kForms[0], options).value()).size() == 1);
  for (const char* name : {"default", "ROOTCA", "ALL"}) {
    CHECK(state(update, name, kForms[0], options) == SecretState::kAbsent);
  }
}

TEST_CASE("the peers that an entry allows are told in every context of trust domains") {
  TestCa ca("example.org");
  TestCa other("other.org");
  Entry entry = make_entry("web");
  entry.peers = {{PeerRule::Kind::kExact, "spiffe://example.org/client"},
                 {PeerRule::Kind::kPrefix, "spiffe://example.org/ns/shop/"},
                 {PeerRule::Kind::kSuffix, "/sa/web"}};
  WorkloadUpdate update = make_update(ca, {entry, make_entry("db")});
  federate(update, other);

  for (const char* name : {"ROOTCA", "ALL", "spiffe://example.org", "spiffe://other.org"}) {
    for (TrustForm form : kForms) {
      if (std::string(name) == "ALL" && form == TrustForm::kTrustedCa) continue;
      auto context = secret(update, name, form).value().validation_context();

      CAPTURE(name);
      REQUIRE(context.match_typed_subject_alt_names_size() == 3);
      for (const auto& rule : context.match_typed_subject_alt_names()) {
        CHECK(rule.san_type() == tls::SubjectAltNameMatcher::URI);
      }
      CHECK(context.match_typed_subject_alt_names(0).matcher().exact() ==
            "spiffe://example.org/client");
      CHECK(context.match_typed_subject_alt_names(1).matcher().prefix() ==
            "spiffe://example.org/ns/shop/");
      CHECK(context.match_typed_subject_alt_names(2).matcher().suffix() == "/sa/web");
    }
  }
}

TEST_CASE("of several entries' peers only those count that all of them allow") {
  const PeerRule a{PeerRule::Kind::kExact, "spiffe://example.org/a"};
  const PeerRule b{PeerRule::Kind::kExact, "spiffe://example.org/b"};
  const PeerRule c{PeerRule::Kind::kExact, "spiffe://example.org/c"};
  auto common = [](const std::vector<PeerRules>& rules) {
    std::vector<EntryPtr> entries;
    for (const PeerRules& peers : rules) {
      Entry entry = make_entry("web");
      entry.peers = peers;
      entries.push_back(std::make_shared<const Entry>(entry));
    }
    return common_peers(entries);
  };

  CHECK(common({{}, {}}) == PeerRules{});
  CHECK(common({{}, {a, b}, {}}) == PeerRules{a, b});
  CHECK(common({{a, b}, {b, c}}) == PeerRules{b});
  CHECK(common({{a}, {b}}) == std::nullopt);
  CHECK(common({{a}, {b}, {a}}) == std::nullopt);
}

TEST_CASE("when entries agree on no peer their caller gets no trust, but its identities") {
  TestCa ca("example.org");
  Entry web = make_entry("web");
  Entry db = make_entry("db");
  web.peers = {{PeerRule::Kind::kExact, "spiffe://example.org/a"}};
  db.peers = {{PeerRule::Kind::kExact, "spiffe://example.org/b"}};
  WorkloadUpdate update = make_update(ca, {web, db});

  for (const char* name : {"ROOTCA", "ALL", "spiffe://example.org"}) {
    CHECK(state(update, name) == SecretState::kAbsent);
  }
  CHECK(state(update, "default") == SecretState::kPresent);
}

TEST_CASE("a file's certificate is told with its key, its roots as a plain list without peers") {
  TestCa ca("example.org");
  Entry entry = make_entry("web");
  entry.peers = {{PeerRule::Kind::kExact, "spiffe://example.org/a"}};
  SecretView view = view_of(make_update(ca, {entry}));
  FileSecretPtr pair = file_secret(ca, true);
  FileSecretPtr roots = file_secret(ca, false);
  view.files = {{"file-cert:/a~/b", {SecretState::kPresent, pair, ""}},
                {"file-root:/c", {SecretState::kPresent, roots, ""}},
                {"file-root:/d", {SecretState::kAbsent, nullptr, "no grant"}}};
  auto find = [&](const char* name) { return find_secret(view, name, SecretOptions(), kForms[0]); };

  auto certificate = render_secret("file-cert:/a~/b", find("file-cert:/a~/b").content);
  auto trust = render_secret("file-root:/c", find("file-root:/c").content);

  CHECK(certificate.tls_certificate().certificate_chain().inline_bytes() ==
        concatenated_pem(pair->certificates));
  CHECK(certificate.tls_certificate().private_key().inline_bytes().find("-----BEGIN PRIVATE") == 0);
  CHECK(find("file-cert:/a~/b").content.has_key());
  CHECK(trust.validation_context().trusted_ca().inline_bytes() == ca.bundle()->pem());
  CHECK(trust.validation_context().match_typed_subject_alt_names_size() == 0);
  CHECK(find("file-root:/c").content.is_trust());
  CHECK(secret_version(find("file-root:/c").content) == "r");
  CHECK(find("file-root:/d").state == SecretState::kAbsent);
  CHECK(find("file-root:/d").why == "no grant");
  CHECK(find("file-root:/e").state == SecretState::kPending);
}

}  // namespace
}  // namespace nodepilot
