// X509-SVID: what a validator must accept and reject. The path validation itself is OpenSSL's; that
// it is asked the right question is ours.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "rotation/pki/x509_svid.h"
#include "test/pki/test_ca.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;
using test::Change;
using test::noon;
using test::Recipe;
using test::TestCa;

const std::string kWeb = "spiffe://example.org/web";

TrustBundle bundle_of(const Certificate& root, const std::string& name = "example.org") {
  return TrustBundle::create(TrustDomain::parse(name).value(), {root}).value();
}

// A peer that shows a chain, and the bundle of example.org that it is held against.
struct TlsPeer {
  TestCa ca = TestCa::root();
  PrivateKey key = PrivateKey::generate().value();
  TrustBundle bundle = bundle_of(ca.certificate);

  std::string verify(const std::vector<Certificate>& chain, Time now = noon()) const {
    auto id = verify_peer_chain(chain, bundle, now);
    return id ? "accepted " + id->str() : id.error().message;
  }
  // For a leaf that `change` has made otherwise.
  std::string verify_leaf(const Change& change, Time now = noon()) const {
    return verify({ca.leaf(key, kWeb, change)}, now);
  }
  // For a leaf below an intermediate that `change` has made otherwise.
  std::string verify_below(const Change& change) const {
    TestCa middle = ca.intermediate("middle", change);
    return verify({middle.leaf(key, kWeb), middle.certificate});
  }
};

const std::string kAccepted = "accepted " + kWeb;

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

Change with_id(const std::string& id) {
  return [id](Recipe& r) { r.sans = {{GEN_URI, id}}; };
}

}  // namespace

TEST_CASE("X509-02 + one URI SAN is accepted") { CHECK(TlsPeer().verify_leaf({}) == kAccepted); }

TEST_CASE("X509-02 - two URI SANs are rejected, whichever comes first") {
  TlsPeer peer;

  CHECK(has(peer.verify_leaf([](Recipe& r) { r.uri("https://example.org/"); }), "2 URI SANs"));
  CHECK(has(peer.verify_leaf([](Recipe& r) {
    r.sans = {{GEN_URI, "https://example.org/"}, {GEN_URI, kWeb}};
  }),
            "2 URI SANs"));
  CHECK(has(peer.verify_leaf([](Recipe& r) { r.uri("spiffe://example.org/db"); }), "2 URI SANs"));
}

TEST_CASE("X509-02 - no URI SAN is rejected") {
  TlsPeer peer;

  CHECK(has(peer.verify_leaf([](Recipe& r) {
    r.sans = {{GEN_DNS, "example.org"}};
  }),
            "0 URI SANs"));
  CHECK(has(peer.verify_leaf([](Recipe& r) { r.sans.clear(); }), "0 URI SANs"));
}

TEST_CASE("X509-03 + DNS, IP and e-mail SANs beside the ID are accepted") {
  Change more = [](Recipe& r) {
    r.sans.insert(r.sans.begin(), {GEN_DNS, "web.example.org"});
    r.sans.push_back({GEN_IPADD, std::string("\x7f\0\0\1", 4)});
    r.sans.push_back({GEN_EMAIL, "web@example.org"});
  };

  CHECK(TlsPeer().verify_leaf(more) == kAccepted);
}

TEST_CASE("X509-09 - a signing certificate is rejected as a peer, whatever its ID") {
  TlsPeer peer;
  TestCa named = peer.ca.intermediate("named", [](Recipe& r) { r.uri("spiffe://example.org/ca"); });

  CHECK(has(peer.verify({named.certificate}), "CA certificate"));
  CHECK_FALSE(has(peer.verify({peer.ca.certificate}), "accepted"));
}

TEST_CASE("X509-10 + a leaf below two intermediates is accepted") {
  TlsPeer peer;
  TestCa upper = peer.ca.intermediate("upper");
  TestCa lower = upper.intermediate("lower");

  CHECK(peer.verify({lower.leaf(peer.key, kWeb), lower.certificate, upper.certificate}) ==
        kAccepted);
}

TEST_CASE("X509-10 - an issuer without cA or keyCertSign is rejected") {
  TlsPeer peer;

  CHECK(peer.verify_below({}) == kAccepted);
  CHECK_FALSE(has(peer.verify_below([](Recipe& r) { r.basic_constraints = "critical,CA:FALSE"; }),
                  "accepted"));
  CHECK_FALSE(
      has(peer.verify_below([](Recipe& r) { r.key_usage = "critical,cRLSign"; }), "accepted"));
}

TEST_CASE("X509-10 - an intermediate more than the path length allows is rejected") {
  TlsPeer peer;
  TestCa upper = peer.ca.intermediate(
      "upper", [](Recipe& r) { r.basic_constraints = "critical,CA:TRUE,pathlen:0"; });
  TestCa lower = upper.intermediate("lower");

  CHECK(peer.verify({upper.leaf(peer.key, kWeb), upper.certificate}) == kAccepted);
  CHECK(has(peer.verify({lower.leaf(peer.key, kWeb), lower.certificate, upper.certificate}),
            "path length"));
}

TEST_CASE("X509-11 + a leaf without basicConstraints counts as one with cA false") {
  CHECK(TlsPeer().verify_leaf([](Recipe& r) { r.basic_constraints = ""; }) == kAccepted);
}

TEST_CASE("X509-12 + an ID within the permitted names is accepted") {
  CHECK(TlsPeer().verify_below([](Recipe& r) {
    r.name_constraints = "critical,permitted;URI:example.org";
  }) == kAccepted);
}

TEST_CASE("X509-12 - an ID outside of the permitted names is rejected") {
  CHECK(has(TlsPeer().verify_below(
                [](Recipe& r) { r.name_constraints = "critical,permitted;URI:example.com"; }),
            "permitted subtree"));
}

TEST_CASE("X509-17 + a signing certificate for servers and clients still chains") {
  CHECK(TlsPeer().verify_below([](Recipe& r) { r.extended_key_usage = "serverAuth,clientAuth"; }) ==
        kAccepted);
}

TEST_CASE("X509-18 - expired and not yet valid leaves are rejected") {
  TlsPeer peer;

  CHECK(peer.verify_leaf({}, noon() + 59min) == kAccepted);
  CHECK(has(peer.verify_leaf({}, noon() + 61min), "expired"));
  CHECK(has(peer.verify_leaf({}, noon() - 61min), "not yet valid"));
}

TEST_CASE("X509-18 - an expired intermediate is rejected") {
  CHECK(has(TlsPeer().verify_below([](Recipe& r) { r.validity.not_after = noon() - 1s; }),
            "expired"));
}

TEST_CASE("X509-18 - a signature by another key is rejected") {
  TlsPeer peer;
  TestCa forger{PrivateKey::generate().value(), peer.ca.certificate};

  CHECK(has(peer.verify({forger.leaf(peer.key, kWeb)}), "signature"));
}

TEST_CASE("X509-18 - an unknown critical extension is rejected") {
  TlsPeer peer;

  CHECK(peer.verify_leaf([](Recipe& r) { r.comment = "x"; }) == kAccepted);
  CHECK(has(peer.verify_leaf([](Recipe& r) { r.comment = "critical,x"; }), "critical extension"));
}

TEST_CASE("X509-18 - a leaf that signs another leaf is no CA") {
  TlsPeer peer;
  TestCa workload{peer.key, peer.ca.leaf(peer.key, kWeb)};

  CHECK_FALSE(has(
      peer.verify({workload.leaf(peer.key, "spiffe://example.org/admin"), workload.certificate}),
      "accepted"));
}

TEST_CASE("X509-19 - a leaf with cA is rejected") {
  CHECK(has(TlsPeer().verify_leaf([](Recipe& r) { r.basic_constraints = "critical,CA:TRUE"; }),
            "CA:TRUE"));
}

TEST_CASE("X509-19 - a leaf with keyCertSign or cRLSign is rejected") {
  TlsPeer peer;

  CHECK(has(
      peer.verify_leaf([](Recipe& r) { r.key_usage = "critical,digitalSignature,keyCertSign"; }),
      "keyCertSign"));
  CHECK(has(peer.verify_leaf([](Recipe& r) { r.key_usage = "critical,digitalSignature,cRLSign"; }),
            "cRLSign"));
}

TEST_CASE("X509-20 - a trust domain's own ID is rejected in a leaf") {
  CHECK(has(TlsPeer().verify_leaf(with_id("spiffe://example.org")), "no path"));
}

TEST_CASE("X509-20 - a URI of another scheme, or no SPIFFE ID, is rejected in a leaf") {
  TlsPeer peer;

  for (const std::string& id :
       {std::string("https://example.org/web"), std::string("SPIFFE://example.org/web"), kWeb + "/",
        kWeb + std::string(1, '\0'), kWeb + std::string("\0/x", 3)}) {
    CAPTURE(id);
    CHECK(has(peer.verify_leaf(with_id(id)), "no SPIFFE ID"));
  }
}

TEST_CASE("X509-21 - the root of one trust domain vouches for no other") {
  TlsPeer peer;

  CHECK(has(peer.verify_leaf(with_id("spiffe://example.com/web")), "another trust domain"));
  // Nor is a bundle of the right name with another's roots of any use.
  peer.bundle = bundle_of(TestCa::root("other").certificate);
  CHECK(has(peer.verify_leaf({}), "no valid path"));
}

}  // namespace nodepilot
