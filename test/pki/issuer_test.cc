#include "rotation/pki/issuer.h"

#include <doctest/doctest.h>
#include <openssl/x509v3.h>

#include <string>

#include "rotation/pki/x509_svid.h"
#include "test/pki/test_ca.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;
using test::noon;

const Validity kYear{noon() - 10s, noon() + 8760h};
const Validity kHour{noon() - 10s, noon() + 1h};

TrustDomain domain() { return TrustDomain::parse("example.org").value(); }

Entry entry_for(const std::string& id) {
  return {.id = "web",
          .spiffe_id = SpiffeId::parse(id).value(),
          .match = {},
          .dns_names = {},
          .hint = {}};
}

struct Rig {
  PrivateKey root_key = PrivateKey::generate().value();
  Certificate root = make_root(root_key, domain(), kYear).value();
  PrivateKey key = PrivateKey::generate().value();

  Certificate leaf(const Entry& entry, const SpiffeId& asked) const {
    auto csr = Csr::create(key, asked).value();
    return make_leaf(root_key, root, csr, entry, kHour).value();
  }
  Certificate leaf(const Entry& entry) const { return leaf(entry, entry.spiffe_id); }
};

bool is_critical(const Certificate& certificate, int nid) {
  X509_EXTENSION* extension =
      X509_get_ext(certificate.x509(), X509_get_ext_by_NID(certificate.x509(), nid, -1));
  return X509_EXTENSION_get_critical(extension) == 1;
}

}  // namespace

TEST_CASE("a root is a self-signed CA with its domain's ID") {
  auto key = PrivateKey::generate().value();

  auto root = make_root(key, domain(), kYear);

  REQUIRE(root.has_value());
  CHECK(root->is_self_signed());
  CHECK(root->has_key(key));
  CHECK(root->uri_sans() == std::vector<std::string>{"spiffe://example.org"});
  CHECK(X509_get_key_usage(root->x509()) == (KU_KEY_CERT_SIGN | KU_CRL_SIGN));
  CHECK(is_critical(*root, NID_key_usage));
  CHECK(is_critical(*root, NID_basic_constraints));
  CHECK(X509_get0_subject_key_id(root->x509()) != nullptr);
  CHECK(X509_get0_authority_key_id(root->x509()) != nullptr);
  CHECK(root->validity().not_before == kYear.not_before);
  CHECK(root->validity().not_after == kYear.not_after);
  CHECK(TrustBundle::create(domain(), {*root}).has_value());
}

TEST_CASE("two roots of one domain differ in subject and serial number") {
  auto key = PrivateKey::generate().value();

  auto a = make_root(key, domain(), kYear).value();
  auto b = make_root(key, domain(), kYear).value();

  CHECK(a.serial() != b.serial());
  CHECK(a.subject() != b.subject());
  CHECK(a.subject().find("O=example.org") != std::string::npos);
}

TEST_CASE("a trust domain of the greatest length gets a root") {
  auto key = PrivateKey::generate().value();
  auto longest = TrustDomain::parse(std::string(kMaxTrustDomainBytes, 'a')).value();

  auto root = make_root(key, longest, kYear);

  REQUIRE(root.has_value());
  CHECK(root->uri_sans() == std::vector{longest.id()});
}

TEST_CASE("a leaf has the profile of an X509-SVID") {
  Rig rig;

  Certificate leaf = rig.leaf(entry_for("spiffe://example.org/web"));

  CHECK(leaf.has_key(rig.key));
  CHECK(leaf.uri_sans() == std::vector<std::string>{"spiffe://example.org/web"});
  CHECK(leaf.subject().empty());
  CHECK(is_critical(leaf, NID_subject_alt_name));
  CHECK_FALSE(leaf.is_ca());
  CHECK(is_critical(leaf, NID_basic_constraints));
  CHECK(X509_get_key_usage(leaf.x509()) == KU_DIGITAL_SIGNATURE);
  CHECK(is_critical(leaf, NID_key_usage));
  CHECK(X509_get_extended_key_usage(leaf.x509()) == (XKU_SSL_SERVER | XKU_SSL_CLIENT));
  CHECK(ASN1_OCTET_STRING_cmp(X509_get0_authority_key_id(leaf.x509()),
                              X509_get0_subject_key_id(rig.root.x509())) == 0);
  CHECK(leaf.validity().not_before == kHour.not_before);
  CHECK(leaf.validity().not_after == kHour.not_after);
}

TEST_CASE("a leaf passes the checks of an SVID") {
  Rig rig;
  Entry entry = entry_for("spiffe://example.org/web");
  entry.dns_names = {"web.example.org", "web"};
  auto bundle = TrustBundle::create(domain(), {rig.root}).value();

  Certificate leaf = rig.leaf(entry);
  auto svid =
      X509Svid::verified(rig.key, {leaf}, bundle,
                         {.id = entry.spiffe_id, .dns_names = entry.dns_names, .now = noon()});

  REQUIRE(svid.has_value());
  CHECK(svid->leaf().dns_sans() == entry.dns_names);
}

TEST_CASE("the ID of a leaf is the entry's, never the CSR's") {
  Rig rig;
  Entry entry = entry_for("spiffe://example.org/web");

  Certificate leaf = rig.leaf(entry, SpiffeId::parse("spiffe://example.org/admin").value());

  CHECK(leaf.uri_sans() == std::vector<std::string>{"spiffe://example.org/web"});
}

TEST_CASE("an ID of the greatest length fits into a leaf") {
  Rig rig;
  std::string uri = "spiffe://example.org/";
  uri += std::string(kMaxSpiffeIdBytes - uri.size(), 'a');

  Certificate leaf = rig.leaf(entry_for(uri));

  CHECK(leaf.uri_sans() == std::vector{uri});
}

TEST_CASE("a fraction of a second never makes a certificate live longer than asked") {
  Rig rig;
  auto csr = Csr::create(rig.key, SpiffeId::parse("spiffe://example.org/web").value()).value();
  Validity asked{noon() - 10s + 500ms, noon() + 1h + 999ms};

  auto leaf = make_leaf(rig.root_key, rig.root, csr, entry_for("spiffe://example.org/web"), asked);

  REQUIRE(leaf.has_value());
  CHECK(leaf->validity().not_before == noon() - 10s);
  CHECK(leaf->validity().not_after == noon() + 1h);
}

TEST_CASE("serial numbers are random, positive, and of at most 128 bits") {
  Rig rig;
  Entry entry = entry_for("spiffe://example.org/web");

  std::set<std::string> serials;
  for (int i = 0; i < 20; ++i) {
    Certificate leaf = rig.leaf(entry);
    serials.insert(leaf.serial());
    CHECK(leaf.serial().size() <= 32);
    CHECK(leaf.serial().size() >= 20);
    CHECK(leaf.serial().front() != '-');
  }

  CHECK(serials.size() == 20);
}

}  // namespace nodepilot
