#include "rotation/ca/vault/vault_ca.h"

#include <doctest/doctest.h>

#include "rotation/pki/x509_svid.h"
#include "test/ca/vault_kit.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;
using test::body_of;
using test::header;
using test::Json;
using test::kChain;
using test::kSign;
using test::noon;
using test::reply;
using test::TestCa;
using test::VaultRig;

std::string chain_reply(const std::string& pem) {
  return reply(Json{{"data", {{"ca_chain", pem}, {"certificate", ""}}}});
}

TEST_CASE("a CSR is signed with exactly the names and the life of the entry") {
  VaultRig rig;
  auto ca = rig.open(rig.options());
  Csr csr = Csr::create(rig.key, rig.entry.spiffe_id).value();

  auto chain = ca->sign(csr, rig.entry);

  REQUIRE_MESSAGE(chain, chain.error().message);
  CHECK(X509Svid::verified(
            rig.key, *chain,
            TrustBundle::create(TrustDomain::parse("b.org").value(), {rig.pki.certificate}).value(),
            {rig.entry.spiffe_id, {}, noon()})
            .has_value());
  REQUIRE(rig.vault.requests.size() == 1);
  const std::string& request = rig.vault.requests[0];
  CHECK(header(request, "X-Vault-Token") == "s.file");
  CHECK(header(request, "X-Vault-Request") == "true");
  CHECK(header(request, "X-Vault-Namespace").empty());
  Json body = body_of(request);
  CHECK(body == Json{{"csr", csr.pem()},
                     {"uri_sans", "spiffe://b.org/web"},
                     {"ttl", "3600s"},
                     {"exclude_cn_from_sans", true},
                     {"format", "pem"}});
}

TEST_CASE("DNS names are asked for if the entry has any") {
  VaultRig rig;
  rig.entry.dns_names = {"web.b.org", "www.b.org"};
  auto ca = rig.open(rig.options());

  REQUIRE(rig.sign(*ca));

  CHECK(body_of(rig.vault.requests[0]).at("alt_names") == "web.b.org,www.b.org");
}

TEST_CASE("mount, role and namespace are those of the configuration") {
  VaultRig rig;
  rig.vault.handlers["POST /v1/team/pki/sign/mesh"] = rig.vault.handlers[kSign];
  VaultOptions options = rig.options();
  options.mount = "team/pki";
  options.role = "mesh";
  options.name_space = "prod/eu";
  auto ca = rig.open(options);

  REQUIRE(rig.sign(*ca));

  CHECK(header(rig.vault.requests[0], "X-Vault-Namespace") == "prod/eu");
}

TEST_CASE("what Vault says stands above the leaf comes with it") {
  VaultRig rig;
  TestCa middle = rig.pki.intermediate("middle");
  rig.vault.handlers[kSign] = [&](const std::string&) {
    return rig.signed_by(middle, {middle.certificate.pem(), rig.pki.certificate.pem()});
  };
  auto ca = rig.open(rig.options());

  auto chain = rig.sign(*ca);

  REQUIRE_MESSAGE(chain, chain.error().message);
  REQUIRE(chain->size() == 3);
  CHECK((*chain)[1] == middle.certificate);
  CHECK((*chain)[2] == rig.pki.certificate);
}

TEST_CASE("the roots are the self-signed certificates of the mount, read without a token") {
  VaultRig rig;
  TestCa middle = rig.pki.intermediate("middle");
  rig.vault.handlers[kChain] = [&](const std::string&) {
    return chain_reply(middle.certificate.pem() + rig.pki.certificate.pem());
  };
  auto ca = rig.open(rig.options());

  auto bundle = ca->bundle();

  REQUIRE_MESSAGE(bundle, bundle.error().message);
  CHECK(bundle->trust_domain().name() == "b.org");
  CHECK(bundle->roots() == std::vector{rig.pki.certificate});
  CHECK(header(rig.vault.requests[0], "X-Vault-Token").empty());
}

TEST_CASE("a mount whose root is elsewhere asks for a file with it") {
  VaultRig rig;
  TestCa middle = rig.pki.intermediate("middle");
  rig.vault.handlers[kChain] = [&](const std::string&) {
    return chain_reply(middle.certificate.pem());
  };
  VaultOptions options = rig.options();
  auto without = rig.open(options)->bundle();
  options.trust_bundle_file = rig.write("roots.pem", rig.pki.certificate.pem());
  auto with = rig.open(options)->bundle();

  REQUIRE_FALSE(without);
  CHECK(without.error().code == Code::kFailedPrecondition);
  CHECK(
      without.error().message ==
      "the chain of Vault's mount pki ends in \"CN=middle\", which is no root; give the root in a "
      "file and name it in ca.vault.trust_bundle_file");
  REQUIRE_MESSAGE(with, with.error().message);
  CHECK(with->roots() == std::vector{rig.pki.certificate});
}

TEST_CASE("a file of roots is read each time") {
  VaultRig rig;
  TestCa next = TestCa::root("next");
  VaultOptions options = rig.options();
  options.trust_bundle_file = rig.write("roots.pem", rig.pki.certificate.pem());
  auto ca = rig.open(options);
  REQUIRE(ca->bundle());

  rig.write("roots.pem", rig.pki.certificate.pem() + next.certificate.pem());
  auto bundle = ca->bundle();

  REQUIRE(bundle);
  CHECK(bundle->roots() == std::vector{rig.pki.certificate, next.certificate});
  CHECK(rig.vault.requests.empty());
}

TEST_CASE("a stopped CA gives up at once") {
  VaultRig rig;
  auto ca = rig.open(rig.options());
  ca->stop();

  auto chain = rig.sign(*ca);

  REQUIRE_FALSE(chain);
  CHECK(chain.error().code == Code::kCancelled);
}

}  // namespace
}  // namespace nodepilot
