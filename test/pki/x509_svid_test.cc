#include "rotation/pki/x509_svid.h"

#include <doctest/doctest.h>

#include <array>
#include <string>

#include "test/pki/test_ca.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;
using test::Change;
using test::noon;
using test::Recipe;
using test::TestCa;

const std::string kWeb = "spiffe://example.org/web";

TrustBundle bundle_of(std::vector<Certificate> roots, const std::string& name = "example.org") {
  return TrustBundle::create(TrustDomain::parse(name).value(), std::move(roots)).value();
}

// What a CA answers, and what we asked for.
struct Answer {
  TestCa ca = TestCa::root();
  PrivateKey key = PrivateKey::generate().value();
  TrustBundle bundle = bundle_of({ca.certificate});
  X509Svid::Expectation expectation{
      .id = SpiffeId::parse(kWeb).value(), .dns_names = {}, .now = noon()};

  expected<X509Svid> verify(const std::vector<Certificate>& chain) const {
    return X509Svid::verified(key, chain, bundle, expectation);
  }
  // The error for a leaf that `change` has spoilt; "accepted" if there is none.
  std::string refusal(const Change& change) const {
    auto svid = verify({ca.leaf(key, kWeb, change)});
    return svid ? "accepted" : svid.error().message;
  }
};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a good answer becomes an SVID") {
  Answer answer;
  Certificate leaf = answer.ca.leaf(answer.key, kWeb);

  auto svid = answer.verify({leaf});

  REQUIRE(svid.has_value());
  CHECK(svid->id().str() == kWeb);
  CHECK(svid->chain() == std::vector{leaf});
  CHECK(svid->validity().not_after == noon() + 1h);
  CHECK(svid->key().pkcs8_der() == answer.key.pkcs8_der());
}

TEST_CASE("an empty chain and one that is too long are refused") {
  Answer answer;
  std::vector<Certificate> eleven(11, answer.ca.leaf(answer.key, kWeb));

  CHECK(has(answer.verify({}).error().message, "empty"));
  CHECK(has(answer.verify(eleven).error().message, "at most 10"));
}

TEST_CASE("a leaf for another key is refused") {
  Answer answer;
  auto other = PrivateKey::generate().value();

  auto svid = answer.verify({answer.ca.leaf(other, kWeb)});

  REQUIRE_FALSE(svid.has_value());
  CHECK(has(svid.error().message, "our key"));
}

TEST_CASE("only exactly the ID that was asked for is accepted") {
  Answer answer;

  for (const char* id : {"spiffe://example.org/Web", "spiffe://example.org/web2",
                         "spiffe://example.org/w", "spiffe://example.com/web"}) {
    auto svid = answer.verify({answer.ca.leaf(answer.key, id)});

    REQUIRE_FALSE(svid.has_value());
    CHECK(has(svid.error().message, "asked for was " + kWeb));
  }
}

TEST_CASE("a URI SAN that is no SPIFFE ID is refused") {
  Answer answer;

  for (const std::string& id :
       {std::string("https://example.org/web"), std::string("spiffe://example.org/%77eb"),
        std::string("SPIFFE://example.org/web"), kWeb + std::string(1, '\0'),
        kWeb + std::string("\0.evil", 6)}) {
    auto svid = answer.verify({answer.ca.leaf(answer.key, id)});

    REQUIRE_FALSE(svid.has_value());
    CHECK(has(svid.error().message, "no SPIFFE ID"));
  }
}

TEST_CASE("an ID without a path is no workload's") {
  Answer answer;
  answer.expectation.id = SpiffeId::parse("spiffe://example.org").value();

  auto svid = answer.verify({answer.ca.leaf(answer.key, "spiffe://example.org")});

  REQUIRE_FALSE(svid.has_value());
  CHECK(has(svid.error().message, "no path"));
}

TEST_CASE("two URI SANs, or none, are refused") {
  Answer answer;

  CHECK(has(answer.refusal([](Recipe& r) { r.uri("https://example.org/"); }), "2 URI SANs"));
  CHECK(has(answer.refusal([](Recipe& r) { r.uri(kWeb); }), "2 URI SANs"));
  CHECK(has(answer.refusal([](Recipe& r) { r.sans.clear(); }), "0 URI SANs"));
}

TEST_CASE("DNS names are accepted only if they were asked for") {
  Answer answer;
  Change add_dns = [](Recipe& r) { r.sans.push_back({GEN_DNS, "web.example.org"}); };

  CHECK(has(answer.refusal(add_dns), "not asked for: web.example.org"));

  answer.expectation.dns_names = {"web.example.org"};
  CHECK(answer.refusal(add_dns) == "accepted");
  CHECK(answer.refusal({}) == "accepted");
}

TEST_CASE("IP and e-mail SANs are refused") {
  Answer answer;
  Change add_ip = [](Recipe& r) { r.sans.push_back({GEN_IPADD, "\x7f\x01\x01\x01"}); };
  Change add_email = [](Recipe& r) { r.sans.push_back({GEN_EMAIL, "a@example.org"}); };

  CHECK(has(answer.refusal(add_ip), "not asked for"));
  CHECK(has(answer.refusal(add_email), "not asked for"));
}

TEST_CASE("a CA certificate is no leaf") {
  Answer answer;

  std::string refusal = answer.refusal([](Recipe& r) { r.basic_constraints = "critical,CA:TRUE"; });

  CHECK(has(refusal, "CA:TRUE"));
}

TEST_CASE("a leaf without basicConstraints counts as no CA") {
  Answer answer;

  CHECK(answer.refusal([](Recipe& r) { r.basic_constraints = ""; }) == "accepted");
}

TEST_CASE("a leaf that could sign certificates or CRLs is refused") {
  Answer answer;

  for (const char* usage :
       {"critical,digitalSignature,keyCertSign", "critical,digitalSignature,cRLSign"}) {
    CHECK(has(answer.refusal([&](Recipe& r) { r.key_usage = usage; }), "keyCertSign or cRLSign"));
  }
}

TEST_CASE("a leaf's keyUsage must be present and critical, with digitalSignature") {
  Answer answer;
  auto refusal = [&](const char* usage) {
    return answer.refusal([&](Recipe& r) { r.key_usage = usage; });
  };

  CHECK(has(refusal(""), "lacks digitalSignature"));
  CHECK(has(refusal("critical,keyEncipherment"), "lacks digitalSignature"));
  CHECK(has(refusal("digitalSignature"), "not critical"));
  CHECK(refusal("critical,digitalSignature,keyEncipherment") == "accepted");
}

TEST_CASE("an extendedKeyUsage must name servers and clients") {
  Answer answer;
  auto refusal = [&](const char* usage) {
    return answer.refusal([&](Recipe& r) { r.extended_key_usage = usage; });
  };

  CHECK(has(refusal("serverAuth"), "lacks serverAuth or clientAuth"));
  CHECK(has(refusal("clientAuth"), "lacks serverAuth or clientAuth"));
  CHECK(refusal("") == "accepted");
}

TEST_CASE("without a subject the SAN must be critical") {
  Answer answer;
  Change plain_san = [](Recipe& r) { r.critical_sans = false; };
  Change plain_san_with_subject = [](Recipe& r) {
    r.critical_sans = false;
    r.common_name = "web";
  };

  CHECK(has(answer.refusal(plain_san), "subjectAltName is not critical"));
  CHECK(answer.refusal(plain_san_with_subject) == "accepted");
}

TEST_CASE("an expired leaf is refused, also at the very instant of its end") {
  Answer answer;
  auto refusal = [&](Time end) {
    return answer.refusal([&](Recipe& r) { r.validity.not_after = end; });
  };

  CHECK(has(refusal(noon() - 1s), "expired at 2026-03-01T11:59:59Z; it is 2026-03-01T12:00:00Z"));
  CHECK(has(refusal(noon()), "the leaf expired at 2026-03-01T12:00:00Z"));
  CHECK(refusal(noon() + 1s) == "accepted");
}

TEST_CASE("a leaf from a clock that is ahead is accepted within the skew allowed") {
  Answer answer;
  auto refusal = [&](Time start, Time end) {
    return answer.refusal([&](Recipe& r) { r.validity = {start, end}; });
  };

  CHECK(refusal(noon() + 60s, noon() + 1h) == "accepted");
  CHECK(has(refusal(noon() + 61s, noon() + 1h), "at most 1m of clock skew"));
  CHECK(has(refusal(noon() + 30s, noon() + 50s), "clock skew"));
}

TEST_CASE("a life outside of the limits is refused, a longer one by the skew is not") {
  Answer answer;
  answer.expectation.life = {.shortest = 10min, .longest = 1h};
  auto ends = [&](Duration life) {
    return answer.refusal([&](Recipe& r) { r.validity.not_after = noon() + life; });
  };

  CHECK(has(ends(599s), "the leaf lives 9m59s from now, at least 10m are wanted"));
  CHECK(ends(10min) == "accepted");
  CHECK(ends(61min) == "accepted");
  CHECK(has(ends(3661s), "the leaf lives 1h1m from now, at most 1h are allowed"));
}

TEST_CASE("a chain to a root that is not in the bundle is refused") {
  Answer answer;
  TestCa stranger = TestCa::root();  // the same name, another key
  TestCa other = TestCa::root("other root");

  for (const TestCa* ca : {&stranger, &other}) {
    auto svid = answer.verify({ca->leaf(answer.key, kWeb), ca->certificate});

    REQUIRE_FALSE(svid.has_value());
    CHECK(has(svid.error().message, "no valid path"));
    CHECK(has(svid.error().message, "example.org"));
  }
}

TEST_CASE("a root in the answer is not trusted for being there, and not sent on") {
  Answer answer;
  Certificate leaf = answer.ca.leaf(answer.key, kWeb);

  auto svid = answer.verify({leaf, answer.ca.certificate, answer.ca.certificate});

  REQUIRE(svid.has_value());
  CHECK(svid->chain() == std::vector{leaf});
}

TEST_CASE("a shuffled answer is sent in path order, without duplicates and strangers") {
  Answer answer;
  TestCa upper = answer.ca.intermediate("upper");
  TestCa lower = upper.intermediate("lower");
  Certificate leaf = lower.leaf(answer.key, kWeb);
  Certificate stranger = TestCa::root("stranger").certificate;

  auto svid = answer.verify({upper.certificate, stranger, leaf, answer.ca.certificate,
                             lower.certificate, upper.certificate, leaf});

  REQUIRE(svid.has_value());
  CHECK(svid->chain() == std::vector{leaf, lower.certificate, upper.certificate});
}

TEST_CASE("a missing intermediate is refused") {
  Answer answer;
  TestCa lower = answer.ca.intermediate("upper").intermediate("lower");

  auto svid = answer.verify({lower.leaf(answer.key, kWeb), lower.certificate});

  REQUIRE_FALSE(svid.has_value());
  CHECK(has(svid.error().message, "issuer"));
}

TEST_CASE("an intermediate in the bundle is root enough") {
  Answer answer;
  TestCa middle = answer.ca.intermediate("middle");
  answer.bundle = bundle_of({middle.certificate});
  Certificate leaf = middle.leaf(answer.key, kWeb);

  auto svid = answer.verify({leaf});

  REQUIRE(svid.has_value());
  CHECK(svid->chain() == std::vector{leaf});
}

TEST_CASE("intermediates must be CAs that may sign, valid, and within their path length") {
  Answer answer;
  auto refusal = [&](const Change& change) {
    TestCa middle = answer.ca.intermediate("middle", change);
    auto svid = answer.verify({middle.leaf(answer.key, kWeb), middle.certificate});
    return svid ? "accepted" : svid.error().message;
  };

  CHECK(refusal({}) == "accepted");
  CHECK(has(refusal([](Recipe& r) { r.basic_constraints = "critical,CA:FALSE"; }), "invalid CA"));
  CHECK(has(refusal([](Recipe& r) { r.basic_constraints = ""; }), "invalid CA"));
  CHECK(has(refusal([](Recipe& r) { r.key_usage = "critical,cRLSign"; }), "no valid path"));
  CHECK(has(refusal([](Recipe& r) { r.validity.not_after = noon() - 1s; }), "expired"));
  CHECK(has(refusal([](Recipe& r) { r.validity.not_before = noon() + 1s; }), "not yet valid"));
}

TEST_CASE("a path longer than a CA allows is refused") {
  Answer answer;
  TestCa upper = answer.ca.intermediate(
      "upper", [](Recipe& r) { r.basic_constraints = "critical,CA:TRUE,pathlen:0"; });
  TestCa lower = upper.intermediate("lower");

  auto direct = answer.verify({upper.leaf(answer.key, kWeb), upper.certificate});
  auto nested = answer.verify({lower.leaf(answer.key, kWeb), lower.certificate, upper.certificate});

  CHECK(direct.has_value());
  REQUIRE_FALSE(nested.has_value());
  CHECK(has(nested.error().message, "path length"));
}

TEST_CASE("name constraints of a CA bind its leaves") {
  Answer answer;
  auto refusal = [&](const char* constraints) {
    TestCa middle =
        answer.ca.intermediate("middle", [&](Recipe& r) { r.name_constraints = constraints; });
    auto svid = answer.verify({middle.leaf(answer.key, kWeb), middle.certificate});
    return svid ? "accepted" : svid.error().message;
  };

  CHECK(refusal("critical,permitted;URI:example.org") == "accepted");
  CHECK(has(refusal("critical,permitted;URI:example.com"), "permitted subtree"));
  CHECK(has(refusal("critical,excluded;URI:example.org"), "excluded subtree"));
}

TEST_CASE("an expired root verifies nothing") {
  Answer answer;
  answer.ca = TestCa::root("old", [](Recipe& r) { r.validity.not_after = noon() - 1s; });
  answer.bundle = bundle_of({answer.ca.certificate});

  CHECK(has(answer.refusal({}), "expired"));
}

TEST_CASE("a forged signature is refused") {
  Answer answer;
  TestCa forger{PrivateKey::generate().value(), answer.ca.certificate};

  auto svid = answer.verify({forger.leaf(answer.key, kWeb)});

  REQUIRE_FALSE(svid.has_value());
  CHECK(has(svid.error().message, "signature"));
}

TEST_CASE("an unknown critical extension is refused, one that is not critical is not") {
  Answer answer;

  CHECK(has(answer.refusal([](Recipe& r) { r.comment = "critical,x"; }), "critical extension"));
  CHECK(answer.refusal([](Recipe& r) { r.comment = "x"; }) == "accepted");
}

TEST_CASE("a SHA-1 signature is refused") {
  Answer answer;

  CHECK(has(answer.refusal([](Recipe& r) { r.digest = EVP_sha1(); }), "weak digest"));
}

TEST_CASE("the bundle of another trust domain is no measure") {
  Answer answer;
  answer.bundle = bundle_of({answer.ca.certificate}, "example.com");

  CHECK(has(answer.refusal({}), "another trust domain"));
}

TEST_CASE("a peer's chain yields its ID") {
  Answer answer;
  TestCa middle = answer.ca.intermediate("middle");
  // Rules for issuers do not bind a validator: more names, no keyUsage.
  Certificate leaf = middle.leaf(answer.key, kWeb, [](Recipe& r) {
    r.sans.push_back({GEN_DNS, "web"});
    r.sans.push_back({GEN_EMAIL, "a@example.org"});
    r.key_usage = "";
  });

  auto id = verify_peer_chain({leaf, middle.certificate}, answer.bundle, noon());

  REQUIRE(id.has_value());
  CHECK(id->str() == kWeb);
}

TEST_CASE("a peer's chain breaks the rules for validators in vain") {
  Answer answer;
  auto refusal = [&](const Change& change, Time now = noon()) {
    auto id = verify_peer_chain({answer.ca.leaf(answer.key, kWeb, change)}, answer.bundle, now);
    return id ? "accepted" : id.error().message;
  };

  CHECK(has(refusal([](Recipe& r) { r.uri("https://example.org/"); }), "2 URI SANs"));
  CHECK(has(refusal([](Recipe& r) { r.sans = {{GEN_URI, "spiffe://example.org"}}; }), "no path"));
  CHECK(has(refusal([](Recipe& r) { r.basic_constraints = "CA:TRUE"; }), "CA:TRUE"));
  CHECK(has(refusal([](Recipe& r) { r.key_usage = "keyCertSign"; }), "keyCertSign"));
  CHECK(has(refusal([](Recipe& r) { r.key_usage = "cRLSign"; }), "cRLSign"));
  CHECK(has(refusal({}, noon() + 2h), "expired"));
  CHECK(has(refusal({}, noon() - 2h), "not yet valid"));
  CHECK_FALSE(verify_peer_chain({}, answer.bundle, noon()).has_value());
}

TEST_CASE("a peer is held against the bundle of its own trust domain") {
  Answer answer;
  Certificate leaf = answer.ca.leaf(answer.key, "spiffe://example.com/web");

  auto id = verify_peer_chain({leaf}, answer.bundle, noon());

  REQUIRE_FALSE(id.has_value());
  CHECK(has(id.error().message, "another trust domain"));
}

TEST_CASE("a server's certificate must be fit for servers") {
  Answer answer;
  auto refusal = [&](const Change& change) {
    auto id =
        verify_server_chain({answer.ca.leaf(answer.key, kWeb, change)}, answer.bundle, noon());
    return id ? id->str() : id.error().message;
  };

  CHECK(refusal({}) == kWeb);
  CHECK(refusal([](Recipe& r) { r.extended_key_usage = ""; }) == kWeb);
  CHECK(has(refusal([](Recipe& r) { r.extended_key_usage = "clientAuth"; }), "TLS server"));
  CHECK(has(refusal([](Recipe& r) { r.key_usage = "keyCertSign"; }), "keyCertSign"));
}

}  // namespace nodepilot
