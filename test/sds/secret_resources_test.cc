#include "sds/secret_resources.h"

#include <doctest/doctest.h>

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

std::optional<tls::Secret> secret(const WorkloadUpdate& update, const std::string& name,
                                  TrustForm form = TrustForm::kSpiffeValidator) {
  auto content = find_secret(update, name, form);
  if (!content) return std::nullopt;
  return render_secret(name, *content);
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

  auto found = find_secret(update, "default", TrustForm::kSpiffeValidator);

  REQUIRE(found);
  CHECK(found->identity == &update.svids[0]);
}

TEST_CASE("the default identity waits while an earlier entry may still get its SVID") {
  TestCa ca("example.org");
  WorkloadUpdate update = make_update(ca, {make_entry("second")});
  update.settled = false;

  CHECK_FALSE(secret(update, "default"));
  CHECK(secret(update, "spiffe://example.org/second"));
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
  CHECK_FALSE(secret(update, "ALL", TrustForm::kTrustedCa));
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
                                       "file-cert:/etc/a~/etc/b",
                                       "kubernetes://secret",
                                       "all",
                                       "default ",
                                       "file-root:system",
                                       "example.org"};

  for (const std::string& name : names) {
    for (TrustForm form : kForms) {
      CAPTURE(name);
      CHECK_FALSE(secret(update, name, form));
    }
  }
}

TEST_CASE("before bundle and SVID are known no name stands for anything") {
  WorkloadUpdate update;
  update.entitled = true;

  for (const char* name : {"default", "ROOTCA", "ALL", "spiffe://example.org"}) {
    CHECK_FALSE(secret(update, name));
  }
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

TEST_CASE("node metadata can ask for a plain list of roots") {
  auto form = [](const std::string& text) { return trust_form(node_saying(text)); };
  google::protobuf::Value value;

  for (const char* yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    CHECK(form(yes) == TrustForm::kTrustedCa);
  }
  for (const char* no : {"0", "f", "false", "FALSE", "", "yes", "tRUE", "true "}) {
    CHECK(form(no) == TrustForm::kSpiffeValidator);
  }
  value.set_bool_value(true);
  CHECK(trust_form(node_with(value)) == TrustForm::kTrustedCa);
  value.set_bool_value(false);
  CHECK(trust_form(node_with(value)) == TrustForm::kSpiffeValidator);
  value.set_number_value(1);
  CHECK(trust_form(node_with(value)) == TrustForm::kSpiffeValidator);
  value.mutable_list_value()->add_values()->set_bool_value(true);
  CHECK(trust_form(node_with(value)) == TrustForm::kSpiffeValidator);
  CHECK(trust_form(Node()) == TrustForm::kSpiffeValidator);
}

TEST_CASE("an Envoy without the SPIFFE validator gets a plain list of roots") {
  CHECK(trust_form(envoy(1, 17)) == TrustForm::kTrustedCa);
  CHECK(trust_form(envoy(1, 0)) == TrustForm::kTrustedCa);
  CHECK(trust_form(envoy(1, 18)) == TrustForm::kSpiffeValidator);
  CHECK(trust_form(envoy(2, 3)) == TrustForm::kSpiffeValidator);
  CHECK(trust_form(envoy(0, 0)) == TrustForm::kSpiffeValidator);
}

TEST_CASE("a fingerprint tells content apart and nothing else") {
  TestCa ca("example.org");
  TestCa other("other.org");
  WorkloadUpdate update = make_update(ca, {make_entry("web"), make_entry("db")});
  federate(update, other);
  auto print = [](const WorkloadUpdate& u, const char* name, TrustForm form = kForms[0]) {
    return fingerprint(find_secret(u, name, form).value());
  };

  SUBCASE("aliases are equal") {
    CHECK(print(update, "default") == print(update, "spiffe://example.org/web"));
    CHECK(print(update, "ROOTCA") == print(update, "spiffe://example.org"));
  }
  SUBCASE("other things differ") {
    CHECK(print(update, "default") != print(update, "spiffe://example.org/db"));
    CHECK(print(update, "ROOTCA") != print(update, "ALL"));
    CHECK(print(update, "ROOTCA") != print(update, "spiffe://other.org"));
    CHECK(print(update, "ROOTCA") != print(update, "ROOTCA", TrustForm::kTrustedCa));
  }
  SUBCASE("a renewal differs, in its own name only") {
    WorkloadUpdate renewed = update;
    renewed.svids[0].svid = ca.issue(*renewed.svids[0].entry);
    CHECK(print(update, "default") != print(renewed, "default"));
    CHECK(print(update, "spiffe://example.org/db") == print(renewed, "spiffe://example.org/db"));
    CHECK(print(update, "ROOTCA") == print(renewed, "ROOTCA"));
  }
  SUBCASE("a further root differs") {
    WorkloadUpdate rooted = update;
    rooted.bundle = ca.bundle_with(TestCa("example.org"));
    CHECK(print(update, "ROOTCA") != print(rooted, "ROOTCA"));
    CHECK(print(update, "ALL") != print(rooted, "ALL"));
    CHECK(print(update, "default") == print(rooted, "default"));
  }
}

}  // namespace
}  // namespace nodepilot
