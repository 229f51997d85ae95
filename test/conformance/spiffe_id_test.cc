// SPIFFE-ID: the grammar and what it protects.
#include "agent/base/spiffe_id.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "agent/config/config.h"
#include "rotation/pki/csr.h"
#include "rotation/pki/x509_svid.h"
#include "test/pki/test_ca.h"

namespace nodepilot {
namespace {

using namespace std::string_literals;
using test::noon;
using test::TestCa;

const std::string kDomain = "spiffe://example.org";

void check_valid(const std::vector<std::string>& ids) {
  for (const std::string& id : ids) {
    CAPTURE(id);
    auto parsed = SpiffeId::parse(id);
    REQUIRE(parsed);
    CHECK(parsed->str() == id);
  }
}

void check_refused(const std::vector<std::string>& ids) {
  for (const std::string& id : ids) {
    CAPTURE(id);
    CHECK_FALSE(SpiffeId::parse(id));
  }
}

// The errors of a configuration whose one identity has this `id`; "" if it is valid.
std::string config_errors(const std::string& trust_domain, const std::string& id) {
  auto config = parse_config("trust_domain: \"" + trust_domain + "\"\nidentities:\n  - id: " + id +
                                 "\n    match: [\"unix:uid:1\"]\n",
                             "a.yaml");
  return config ? "" : config.error().front().str();
}

// An SVID of example.org and what a peer holds it against.
struct TlsPeer {
  TestCa ca = TestCa::root();
  PrivateKey key = PrivateKey::generate().value();
  std::string der = ca.leaf(key, kDomain + "/web").der();
  TrustBundle bundle =
      TrustBundle::create(TrustDomain::parse("example.org").value(), {ca.certificate}).value();

  // Why the SVID is rejected once `part` in its bytes reads `other`; "" if it is not.
  std::string refusal(const std::string& part, const std::string& other) const {
    std::string changed = der;
    std::size_t at = changed.find(part);
    REQUIRE(at != std::string::npos);
    changed.replace(at, part.size(), other);
    auto leaf = Certificate::parse_der(changed);
    if (!leaf) return leaf.error().message;
    auto id = verify_peer_chain({*leaf}, bundle, noon());
    return id ? "" : id.error().message;
  }
};

}  // namespace

TEST_CASE("ID-01 + the scheme spiffe is accepted") {
  check_valid({"spiffe://td/a", "spiffe://td"});
}

TEST_CASE("ID-01 - any other scheme is refused") {
  check_refused(
      {"http://td/a", "spiffes://td/a", "spiff://td/a", "td/a", "//td/a", "urn:spiffe:td"});
}

TEST_CASE("ID-02 - an empty trust domain is refused") {
  check_refused({"spiffe:///a", "spiffe://", "spiffe:/td/a", "spiffe:"});
  CHECK_FALSE(TrustDomain::parse(""));
}

TEST_CASE("ID-03 - a query is refused, a bare ? too") {
  check_refused({kDomain + "/a?", kDomain + "/a?q=1", "spiffe://td?x", "spiffe://td?"});
}

TEST_CASE("ID-03 - a fragment is refused, a bare # too") {
  check_refused({kDomain + "/a#", kDomain + "/a#f", "spiffe://td#x", "spiffe://td#"});
}

TEST_CASE("ID-04 - user information and port are refused, their bare delimiters too") {
  check_refused({"spiffe://u@td/a", "spiffe://u:p@td/a", "spiffe://@td/a", "spiffe://td:443/a",
                 "spiffe://td:/a", "spiffe://td:443"});
}

TEST_CASE("ID-05 + lower case, digits, dot, dash and underscore make a trust domain") {
  check_valid({"spiffe://a_b/x", "spiffe://xn--bcher-kva.example/x", "spiffe://0-9.a/x"});
}

TEST_CASE("ID-05 - any other character in a trust domain is refused") {
  check_refused({"spiffe://Example.org/x", "spiffe://[::1]/x", "spiffe://ex+a/x", "spiffe://*.td/x",
                 "spiffe://\xc3\xbc.example/x", "spiffe://td\0/x"s, "spiffe://td\\x"});
}

TEST_CASE("ID-06 - an escape is refused, even of a character that is allowed") {
  check_refused({"spiffe://ex%61mple.org/a", kDomain + "/%61", kDomain + "/a%2Fb", kDomain + "/%"});
}

TEST_CASE("ID-07 + what looks like an address is a trust domain like any other") {
  check_valid({"spiffe://10.0.0.1/a", "spiffe://999.1.1.1/a", "spiffe://1.2.3.4.5/a",
               "spiffe://-/a", "spiffe://a..b/a", "spiffe://./a"});
  CHECK(SpiffeId::parse("spiffe://10.0.0.1/a")->trust_domain().name() == "10.0.0.1");
  CHECK(*SpiffeId::parse("spiffe://10.0.0.1/a") != *SpiffeId::parse("spiffe://10.0.0.01/a"));
}

TEST_CASE("ID-08 + dots are characters like any other beside others") {
  check_valid({kDomain + "/...", kDomain + "/.a", kDomain + "/a..b", kDomain + "/a."});
}

TEST_CASE("ID-08 - empty and relative segments are refused") {
  check_refused({kDomain + "//a", kDomain + "/a/", kDomain + "/", kDomain + "/a//b",
                 kDomain + "/a/../b", kDomain + "/.", kDomain + "/..", kDomain + "/a/."});
}

TEST_CASE("ID-09 + letters of either case, digits, dot, dash and underscore make a segment") {
  check_valid({kDomain + "/Ab9.-_/x", kDomain + "/-/_"});
}

TEST_CASE("ID-09 - any other byte in a path is refused") {
  for (int byte = 0; byte < 256; ++byte) {
    char c = static_cast<char>(byte);
    bool is_allowed =
        ("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"s).find(c) !=
        std::string::npos;
    std::string id = kDomain + "/a" + c + "b";
    CAPTURE(byte);
    CHECK(SpiffeId::parse(id).has_value() == (is_allowed || c == '/'));
  }
}

TEST_CASE("ID-10 + an ID of 2048 bytes is parsed and configured") {
  std::string id = kDomain + "/" + std::string(2048 - kDomain.size() - 1, 'a');

  CHECK(SpiffeId::parse(id)->str() == id);
  CHECK(config_errors("example.org", id) == "");
}

TEST_CASE("ID-11 - an ID of 2049 bytes is refused, also when it is put together") {
  std::string path = "/" + std::string(2048 - kDomain.size(), 'a');

  CHECK_FALSE(SpiffeId::parse(kDomain + path));
  CHECK_FALSE(SpiffeId::make(TrustDomain::parse("example.org").value(), path));
  CHECK(config_errors("example.org", path).find("2048") != std::string::npos);
}

TEST_CASE("ID-12 + a trust domain of 255 bytes is accepted") {
  CHECK(TrustDomain::parse(std::string(255, 'a')));
  check_valid({"spiffe://" + std::string(255, 'a') + "/x"});
}

TEST_CASE("ID-12 - a trust domain of 256 bytes is refused") {
  CHECK_FALSE(TrustDomain::parse(std::string(256, 'a')));
  check_refused({"spiffe://" + std::string(256, 'a') + "/x"});
}

TEST_CASE("ID-13 + paths that differ in case are different IDs") {
  CHECK(*SpiffeId::parse(kDomain + "/A") != *SpiffeId::parse(kDomain + "/a"));
  CHECK(SpiffeId::parse(kDomain + "/A")->path() == "/A");
}

TEST_CASE("ID-13 - an upper-case scheme or trust domain is refused, not folded") {
  check_refused({"SPIFFE://example.org/a", "Spiffe://example.org/a", "spiffe://EXAMPLE.org/a"});
  CHECK_FALSE(TrustDomain::parse("Example.org"));
  CHECK(config_errors("Example.org", "/web").find("Example.org") != std::string::npos);
}

TEST_CASE("ID-14 - a certificate with one byte of its ID changed is no SVID") {
  TlsPeer peer;

  CHECK(peer.refusal("/web", "/web") == "");
  CHECK(peer.refusal("/web", "/wea").find("signature") != std::string::npos);
}

TEST_CASE("ID-14 - a certificate with another key put in is no SVID") {
  TlsPeer peer;
  auto point = [](const PrivateKey& key) {
    const SecretBytes& der = key.pkcs8_der();
    return std::string(der.end() - 64, der.end());  // PKCS#8 of an EC key ends in the public point
  };

  CHECK(peer.refusal(point(peer.key), point(peer.key)) == "");
  std::string why = peer.refusal(point(peer.key), point(PrivateKey::generate().value()));
  CHECK(why.find("signature") != std::string::npos);
}

TEST_CASE("ID-15 - a signed document that is no certificate is no SVID, though it carries the ID") {
  auto key = PrivateKey::generate().value();
  auto request = Csr::create(key, SpiffeId::parse(kDomain + "/web").value()).value();

  CHECK_FALSE(Certificate::parse_der(request.der()));
  CHECK_FALSE(Certificate::parse_der("{\"sub\":\"spiffe://example.org/web\"}"));
  CHECK_FALSE(verify_peer_chain({}, TlsPeer().bundle, noon()));
}

}  // namespace nodepilot
