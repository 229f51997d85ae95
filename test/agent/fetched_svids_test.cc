#include "agent/fetched_svids.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "rotation/pki/issuer.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;

const Time kNow{std::chrono::sys_days{std::chrono::year{2026} / 8 / 22} + 3h};
const Validity kYear{kNow - 24h, kNow + 24h * 365};
const Validity kHour{kNow - 10s, kNow + 1h};

// One trust domain with a CA of its own.
struct Authority {
  explicit Authority(const std::string& name)
      : domain(TrustDomain::parse(name).value()),
        key(PrivateKey::generate().value()),
        root(make_root(key, domain, kYear).value()) {}

  X509SVID issue(const std::string& path, const std::string& hint = "") const {
    auto leaf_key = PrivateKey::generate().value();
    auto id = SpiffeId::make(domain, path).value();
    Entry entry{
        .id = id.str(), .spiffe_id = id, .match = {}, .dns_names = {"web.local"}, .hint = ""};
    auto leaf = make_leaf(key, root, Csr::create(leaf_key, id).value(), entry, kHour).value();
    X509SVID svid;
    svid.set_spiffe_id(id.str());
    svid.set_x509_svid(leaf.der());
    const SecretBytes& der = leaf_key.pkcs8_der();
    svid.set_x509_svid_key(std::string(der.begin(), der.end()));
    svid.set_bundle(root.der());
    svid.set_hint(hint);
    return svid;
  }

  TrustDomain domain;
  PrivateKey key;
  Certificate root;
};

X509SVIDResponse response_of(const std::vector<X509SVID>& svids) {
  X509SVIDResponse response;
  for (const X509SVID& svid : svids) *response.add_svids() = svid;
  return response;
}

std::string refusal(const X509SVIDResponse& response) {
  auto fetched = FetchedSvids::check(response, kNow);
  return fetched ? "" : fetched.error().message;
}

TEST_CASE("a good answer is taken whole") {
  Authority ca("example.org");
  Authority other("other.org");
  auto response = response_of({ca.issue("/web", "internal"), ca.issue("/db")});
  (*response.mutable_federated_bundles())["spiffe://other.org"] = other.root.der();

  auto fetched = FetchedSvids::check(response, kNow);

  REQUIRE(fetched);
  REQUIRE(fetched->svids.size() == 2);
  CHECK(fetched->svids[0].id.str() == "spiffe://example.org/web");
  CHECK(fetched->svids[0].hint == "internal");
  CHECK(fetched->svids[0].chain.size() == 1);
  CHECK(fetched->svids[0].bundle.roots() == std::vector{ca.root});
  CHECK(fetched->svids[1].id.str() == "spiffe://example.org/db");
  CHECK(fetched->federated.at(other.domain).roots() == std::vector{other.root});
}

TEST_CASE("it is printed as spire-agent prints it") {
  Authority ca("example.org");
  auto fetched = FetchedSvids::check(response_of({ca.issue("/web", "in\x1bternal")}), kNow);

  REQUIRE(fetched);
  CHECK(fetched->pretty(4140us) ==
        "Received 1 svid after 4.1ms\n"
        "\n"
        "SPIFFE ID:              spiffe://example.org/web\n"
        "Hint:                   in?ternal\n"
        "SVID Valid After:       2026-08-22 02:59:50 +0000 UTC\n"
        "SVID Valid Until:       2026-08-22 04:00:00 +0000 UTC\n"
        "CA #1 Valid After:      2026-08-21 03:00:00 +0000 UTC\n"
        "CA #1 Valid Until:      2027-08-22 03:00:00 +0000 UTC\n");
}

TEST_CASE("no output but the key file holds a private key") {
  Authority ca("example.org");
  auto fetched = FetchedSvids::check(response_of({ca.issue("/web")}), kNow);

  REQUIRE(fetched);
  for (const std::string& text : {fetched->pretty(1us), fetched->json(), fetched->pem()}) {
    CHECK(text.find("PRIVATE") == std::string::npos);
  }
  for (const auto& file : fetched->files()) {
    std::string text(file.bytes.begin(), file.bytes.end());
    bool is_key = file.name == "svid.0.key";
    CHECK((text.find("PRIVATE") != std::string::npos) == is_key);
    CHECK(file.mode == (is_key ? 0600 : 0644));
  }
}

TEST_CASE("the files have the names that spire-agent gives them, and their content fits together") {
  Authority ca("example.org");
  Authority other("other.org");
  auto response = response_of({ca.issue("/web"), ca.issue("/db")});
  (*response.mutable_federated_bundles())["spiffe://other.org"] = other.root.der();
  auto fetched = FetchedSvids::check(response, kNow);

  REQUIRE(fetched);
  std::map<std::string, SecretBytes> files;
  for (const auto& file : fetched->files()) files[file.name] = file.bytes;
  CHECK(files.size() == 8);
  for (const char* name :
       {"svid.0.pem", "svid.0.key", "bundle.0.pem", "federated_bundle.0.0.pem", "svid.1.pem",
        "svid.1.key", "bundle.1.pem", "federated_bundle.1.0.pem"}) {
    CHECK(files.contains(name));
  }
  const SecretBytes& svid = files["svid.1.pem"];
  auto chain = Certificate::parse_pem(std::string(svid.begin(), svid.end())).value();
  CHECK(chain.front().uri_sans() == std::vector<std::string>{"spiffe://example.org/db"});
  CHECK(chain.front().has_key(PrivateKey::parse_pem(files["svid.1.key"]).value()));
}

TEST_CASE("the JSON tells validity, names and PEM") {
  Authority ca("example.org");
  auto fetched = FetchedSvids::check(response_of({ca.issue("/web", "internal")}), kNow);

  REQUIRE(fetched);
  auto json = nlohmann::json::parse(fetched->json());
  CHECK(json["version"] == 1);
  const auto& svid = json["svids"][0];
  CHECK(svid["spiffe_id"] == "spiffe://example.org/web");
  CHECK(svid["hint"] == "internal");
  CHECK(svid["not_after"] == "2026-08-22T04:00:00Z");
  CHECK(svid["dns_names"] == nlohmann::json::array({"web.local"}));
  CHECK(Certificate::parse_pem(svid["bundle_pem"].get<std::string>()).value().front() == ca.root);
}

TEST_CASE("an SVID whose key is another's is refused") {
  Authority ca("example.org");
  X509SVID svid = ca.issue("/web");
  svid.set_x509_svid_key(ca.issue("/web").x509_svid_key());

  CHECK(refusal(response_of({svid})) ==
        "SVID \"spiffe://example.org/web\": its key is not the one in its certificate");
}

TEST_CASE("an SVID that another CA signed is refused") {
  Authority ca("example.org");
  Authority forger("example.org");
  X509SVID svid = forger.issue("/web");
  svid.set_bundle(ca.root.der());

  CHECK(refusal(response_of({svid})).starts_with("SVID \"spiffe://example.org/web\": "));
}

TEST_CASE("an SVID that says it is another than its certificate is refused") {
  Authority ca("example.org");
  X509SVID svid = ca.issue("/web");
  svid.set_spiffe_id("spiffe://example.org/admin");

  CHECK(refusal(response_of({svid})) ==
        "SVID \"spiffe://example.org/admin\": its certificate is that of "
        "\"spiffe://example.org/web\"");
}

TEST_CASE("an SVID with a missing or damaged field is refused") {
  Authority ca("example.org");
  const X509SVID good = ca.issue("/web");
  auto with = [&](auto change) {
    X509SVID svid = good;
    change(svid);
    return refusal(response_of({svid}));
  };

  CHECK(with([](X509SVID&) {}) == "");
  CHECK(with([](X509SVID& svid) { svid.clear_spiffe_id(); }) != "");
  CHECK(with([](X509SVID& svid) { svid.clear_x509_svid(); }) ==
        "SVID \"spiffe://example.org/web\": a certificate is missing");
  CHECK(with([](X509SVID& svid) { svid.clear_x509_svid_key(); }) != "");
  CHECK(with([](X509SVID& svid) { svid.clear_bundle(); }) != "");
  CHECK(with([](X509SVID& svid) { svid.mutable_x509_svid()->pop_back(); }) ==
        "SVID \"spiffe://example.org/web\": certificates are malformed or cut short");
  CHECK(with([](X509SVID& svid) { svid.set_x509_svid("-----BEGIN CERTIFICATE-----"); }) != "");
}

TEST_CASE("an answer without an SVID is refused") {
  CHECK(refusal({}) == "the answer holds no SVID");
}

TEST_CASE("a damaged bundle of another trust domain is refused by its name") {
  Authority ca("example.org");
  auto response = response_of({ca.issue("/web")});
  (*response.mutable_federated_bundles())["spiffe://other.org"] = "x";

  CHECK(refusal(response).starts_with("bundle of \"spiffe://other.org\": "));
}

TEST_CASE("of two SVIDs with one hint the first counts") {
  Authority ca("example.org");

  auto fetched = FetchedSvids::check(
      response_of({ca.issue("/a", "h"), ca.issue("/b", "h"), ca.issue("/c"), ca.issue("/d")}),
      kNow);

  REQUIRE(fetched);
  REQUIRE(fetched->svids.size() == 3);
  CHECK(fetched->svids[0].id.str() == "spiffe://example.org/a");
  CHECK(fetched->svids[1].id.str() == "spiffe://example.org/c");
}

TEST_CASE("certificates back to back are parted, and nothing else is taken for them") {
  Authority a("a.org");
  Authority b("b.org");
  std::string both = a.root.der() + b.root.der();

  auto parted = parse_concatenated_der(both);

  REQUIRE(parted);
  CHECK(*parted == std::vector{a.root, b.root});
  using std::string_literals::operator""s;
  for (const std::string& bad :
       {""s, both + "x", both + "\x30"s, "\x30\x80"s, "\x30\x84\x01\x01\x01\x01"s,
        "\x30\x83\xff\xff\xff"s, "\x30\x82\x01"s, "\x31\x00"s, both.substr(1), "\x30\x00"s}) {
    CHECK_FALSE(parse_concatenated_der(bad));
  }
  std::string many;
  for (int i = 0; i < 101; ++i) many += a.root.der();
  CHECK_FALSE(parse_concatenated_der(many));
}

}  // namespace
}  // namespace nodepilot
