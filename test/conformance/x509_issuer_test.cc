// X509-SVID: what an issuer must do. Certificates that are served are looked at in
// test_x509_svid.py, by a parser that is not ours; here is what must not come about.
#include <doctest/doctest.h>
#include <openssl/x509v3.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "rotation/ca/local_ca.h"
#include "rotation/pki/x509_svid.h"
#include "test/pki/test_ca.h"
#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

using test::Change;
using test::noon;
using test::Recipe;
using test::TestCa;

TrustDomain domain() { return TrustDomain::parse("example.org").value(); }

Entry entry_for(const std::string& id) {
  return {.id = "web",
          .spiffe_id = SpiffeId::parse(id).value(),
          .match = {},
          .dns_names = {},
          .hint = {}};
}

// A request for what no workload may have: a second ID, and the right to sign.
Csr greedy_request(const PrivateKey& key) {
  std::unique_ptr<X509_REQ, decltype(&X509_REQ_free)> request(X509_REQ_new(), X509_REQ_free);
  X509_REQ_set_pubkey(request.get(), key.evp());
  STACK_OF(X509_EXTENSION)* extensions = nullptr;
  for (auto [nid, value] :
       {std::pair(NID_subject_alt_name, "URI:spiffe://example.org/web,URI:spiffe://example.org/db"),
        std::pair(NID_basic_constraints, "critical,CA:TRUE"),
        std::pair(NID_key_usage, "critical,keyCertSign,cRLSign")}) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
    X509v3_add_ext(&extensions, extension, -1);
    X509_EXTENSION_free(extension);
  }
  X509_REQ_add_extensions(request.get(), extensions);
  sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
  X509_REQ_sign(request.get(), key.evp(), EVP_sha256());
  unsigned char* der = nullptr;
  int length = i2d_X509_REQ(request.get(), &der);
  std::string bytes(reinterpret_cast<char*>(der), static_cast<std::size_t>(length));
  OPENSSL_free(der);
  return Csr::parse_der(bytes).value();
}

// The embedded CA, and one that an operator gives.
struct Rig {
  TemporaryDirectory directory;
  PrivateKey key = PrivateKey::generate().value();

  LocalCa::Options options() const {
    return {.trust_domain = domain(),
            .state_dir = directory.path() / "state",
            .certificate_file = {},
            .key_file = {}};
  }
  std::unique_ptr<LocalCa> open() const { return LocalCa::open(options(), noon).value(); }

  // "" if such a CA is accepted, else why not.
  std::string refusal_of(const TestCa& ca) const {
    LocalCa::Options given = options();
    given.certificate_file = write("ca.pem", ca.certificate.pem());
    SecretBytes pem = ca.key.pkcs8_pem();
    given.key_file = write("ca.key", {pem.begin(), pem.end()});
    auto opened = LocalCa::open(given, noon);
    return opened ? "" : opened.error().message;
  }

 private:
  std::filesystem::path write(const std::string& name, const std::string& text) const {
    auto path = directory.path() / name;
    std::ofstream(path) << text;
    std::filesystem::permissions(path, std::filesystem::perms(0600));
    return path;
  }
};

// Whether our issuing accepts a leaf that `change` has spoilt: what a CA answers is not believed.
bool publishes(const Change& change) {
  TestCa ca = TestCa::root();
  auto key = PrivateKey::generate().value();
  auto bundle = TrustBundle::create(domain(), {ca.certificate}).value();
  auto id = SpiffeId::parse("spiffe://example.org/web").value();
  return X509Svid::verified(key, {ca.leaf(key, id.str(), change)}, bundle,
                            {.id = id, .dns_names = {}, .now = noon()})
      .has_value();
}

}  // namespace

TEST_CASE("X509-01 - a request for two IDs gets the one configured") {
  Rig rig;

  auto chain = rig.open()->sign(greedy_request(rig.key), entry_for("spiffe://example.org/web"));

  REQUIRE(chain);
  CHECK(chain->front().uri_sans() == std::vector<std::string>{"spiffe://example.org/web"});
}

TEST_CASE("X509-04 - the embedded CA does not sign an ID without a path") {
  Rig rig;

  CHECK_FALSE(rig.open()->sign(greedy_request(rig.key), entry_for("spiffe://example.org")));
}

TEST_CASE("X509-05 - a leaf with neither subject nor critical SAN is not published") {
  CHECK(publishes({}));
  CHECK_FALSE(publishes([](Recipe& r) { r.critical_sans = false; }));
}

TEST_CASE("X509-06 + a signing certificate without an ID still signs") {
  CHECK(Rig().refusal_of(TestCa::root("plain")) == "");
}

TEST_CASE("X509-07 - a signing certificate whose ID has a path is refused") {
  auto named = [](const std::string& id) {
    return TestCa::root("named", [&](Recipe& r) { r.uri(id); });
  };

  CHECK(Rig().refusal_of(named("spiffe://example.org")) == "");
  CHECK(Rig().refusal_of(named("spiffe://example.org/ca")).find("path") != std::string::npos);
}

TEST_CASE("X509-10 - an operator's certificate that may not sign is refused") {
  auto without = [](const Change& change) { return Rig().refusal_of(TestCa::root("ca", change)); };

  CHECK(without({}) == "");
  CHECK(without([](Recipe& r) { r.basic_constraints = "critical,CA:FALSE"; }) != "");
  CHECK(without([](Recipe& r) { r.key_usage = "critical,cRLSign"; }) != "");
}

TEST_CASE("X509-13 - a leaf whose key usage is missing or not critical is not published") {
  CHECK_FALSE(publishes([](Recipe& r) { r.key_usage = ""; }));
  CHECK_FALSE(publishes([](Recipe& r) { r.key_usage = "digitalSignature"; }));
}

TEST_CASE("X509-14 - a leaf without digitalSignature is not published") {
  CHECK_FALSE(publishes([](Recipe& r) { r.key_usage = "critical,keyAgreement"; }));
}

TEST_CASE("X509-15 - a request for the right to sign gets none") {
  Rig rig;

  auto chain = rig.open()->sign(greedy_request(rig.key), entry_for("spiffe://example.org/web"));

  REQUIRE(chain);
  CHECK_FALSE(chain->front().is_ca());
  CHECK(X509_get_key_usage(chain->front().x509()) == KU_DIGITAL_SIGNATURE);
}

TEST_CASE("X509-16 - a leaf for servers only, or for clients only, is not published") {
  CHECK_FALSE(publishes([](Recipe& r) { r.extended_key_usage = "serverAuth"; }));
  CHECK_FALSE(publishes([](Recipe& r) { r.extended_key_usage = "clientAuth"; }));
}

}  // namespace nodepilot
