// SPIFFE Federation, the consumer: configuration, and polling with a clock of our own. The
// endpoints themselves are in test_federation.py.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "agent/config/config.h"
#include "rotation/federation/federation_keeper.h"
#include "test/federation/kit.h"
#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;

// The mistakes in a configuration of example.org with this one federation; "" if there are none.
std::string mistakes(const std::string& federation) {
  auto config = parse_config(
      "trust_domain: example.org\nidentities: [{ id: /web, match: [\"unix:uid:1\"] }]\n"
      "federation: [{ " +
          federation + " }]\n",
      "a.yaml");
  std::string all;
  if (!config) {
    for (const ConfigError& error : config.error()) all += error.message + "\n";
  }
  return all;
}

const std::string kWeb = "trust_domain: b.org, url: \"https://b.org/\", profile: https_web";
const std::string kSpiffe =
    "trust_domain: b.org, url: \"https://10.0.0.1/\", profile: https_spiffe, "
    "endpoint_spiffe_id: \"spiffe://b.org/endpoint\", bundle_file: /b.json";

std::string without(std::string text, const std::string& part) {
  return text.replace(text.find(part), part.size(), "");
}

// One federation with b.org, polled from now on.
struct Rig {
  Rig() { restart(); }

  void restart() {
    Federation federation{domain("b.org"), Url::parse("https://b.org/").value(), HttpsWeb{}};
    keeper =
        std::make_unique<FederationKeeper>(clock, workers, fetcher, store, std::vector{federation},
                                           directory.path(), [] { return 1.0; });
    keeper->start();
    clock.advance(1s);
  }
  BundlePtr held() const {
    auto known = store.federated_with(store.identities());
    auto it = known.find(domain("b.org"));
    return it == known.end() ? nullptr : it->second;
  }
  // How often the endpoint is asked while `time` passes.
  int polls_within(Duration time) {
    int before = fetcher.calls["b.org"];
    for (Duration passed{0}; passed < time; passed += 1s) clock.advance(1s);
    return fetcher.calls["b.org"] - before;
  }

  TemporaryDirectory directory;
  FakeClock clock;
  InlineWorkers workers;
  FakeFetcher fetcher;
  IdentityStore store{clock, EntrySet({{.id = "web",
                                        .spiffe_id = SpiffeId::parse("spiffe://td/web").value(),
                                        .match = {{"unix", "uid:1"}},
                                        .dns_names = {},
                                        .hint = "",
                                        .federates_with = {domain("b.org")}}})};
  std::unique_ptr<FederationKeeper> keeper;
};

}  // namespace

TEST_CASE("FED-01 + both profiles can be configured") {
  CHECK(mistakes(kWeb) == "");
  CHECK(mistakes(kSpiffe) == "");
}

TEST_CASE("FED-02 - URL, profile and trust domain are missed by name") {
  CHECK(has(mistakes(without(kWeb, "trust_domain: b.org, ")), "\"trust_domain\" is missing"));
  CHECK(has(mistakes(without(kWeb, "url: \"https://b.org/\", ")), "\"url\" is missing"));
  CHECK(has(mistakes(without(kWeb, ", profile: https_web")), "\"profile\" is missing"));
}

TEST_CASE("FED-02 - a profile does not take what another asks for") {
  CHECK(has(mistakes(kWeb + ", endpoint_spiffe_id: \"spiffe://b.org/endpoint\""), "https_spiffe"));
  CHECK(has(mistakes(kSpiffe + ", ca_file: /ca.pem"), "https_web"));
}

TEST_CASE("FED-05 + the endpoint is asked as often as its bundle says") {
  Rig rig;
  rig.fetcher.serve(make_document("b.org", 1, 60s));
  rig.restart();

  int polls = rig.polls_within(10min);

  CHECK(polls >= 9);
  CHECK(polls <= 12);
}

TEST_CASE("FED-05 + without a hint the endpoint is asked every five minutes") {
  Rig rig;
  rig.fetcher.serve(make_document("b.org", 1));
  rig.restart();

  CHECK(rig.polls_within(4min) == 0);
  CHECK(rig.polls_within(62s) == 1);
}

TEST_CASE("FED-06 - an endpoint that fails is asked no more often, and its bundle is kept") {
  Rig rig;
  BundleDocument document = make_document("b.org", 1, 60s);
  rig.fetcher.serve(document);
  rig.restart();

  rig.fetcher.served.clear();
  int polls = rig.polls_within(10min);

  CHECK(polls >= 9);
  CHECK(polls <= 12);
  REQUIRE(rig.held());
  CHECK(*rig.held() == document.bundle);
}

TEST_CASE("FED-07 + a higher sequence takes the place of a lower") {
  Rig rig;
  rig.fetcher.serve(make_document("b.org", 1, 60s));
  rig.restart();
  BundleDocument newer = make_document("b.org", 2, 60s);
  rig.fetcher.serve(newer);

  rig.polls_within(61s);

  CHECK(*rig.held() == newer.bundle);
}

TEST_CASE("FED-07 - a lower sequence is ignored") {
  Rig rig;
  BundleDocument newer = make_document("b.org", 2, 60s);
  rig.fetcher.serve(newer);
  rig.restart();
  rig.fetcher.serve(make_document("b.org", 1, 60s));

  CHECK(rig.polls_within(61s) == 1);

  CHECK(*rig.held() == newer.bundle);
}

TEST_CASE("FED-07 + without sequences the bundle fetched last wins") {
  Rig rig;
  rig.fetcher.serve(make_document("b.org", {}, 60s));
  rig.restart();
  BundleDocument last = make_document("b.org", {}, 60s);
  rig.fetcher.serve(last);

  rig.polls_within(61s);

  CHECK(*rig.held() == last.bundle);
}

TEST_CASE("BN-07 - an empty bundle after a good one takes the trust away") {
  Rig rig;
  rig.fetcher.serve(make_document("b.org", 1, 60s));
  rig.restart();
  REQUIRE_FALSE(rig.held()->roots().empty());
  rig.fetcher.serve(empty_document("b.org", 2));

  rig.polls_within(61s);

  REQUIRE(rig.held());
  CHECK(rig.held()->roots().empty());
}

TEST_CASE("BN-09 + a stored bundle names its trust domain") {
  Rig rig;
  rig.fetcher.serve(make_document("b.org", 1, 60s));
  rig.restart();

  CHECK(
      has(read_text(rig.directory.path() / "federation/b.org.json"), R"("trust_domain":"b.org")"));
}

TEST_CASE("BN-09 - a stored bundle of another trust domain is not used") {
  TemporaryDirectory directory;
  StoredBundles stored(directory.path());
  REQUIRE(stored.open({domain("b.org"), domain("c.org")}));
  REQUIRE(stored.save(make_document("b.org", 1)));

  std::filesystem::rename(stored.file_of(domain("b.org")), stored.file_of(domain("c.org")));

  CHECK_FALSE(stored.load(domain("c.org")));
}

TEST_CASE("FED-09 - an endpoint's URL without TLS, or with user information, is refused") {
  for (const char* url : {"http://b.org/", "https://u@b.org/", "https://u:p@b.org/",
                          "https://@b.org/", "b.org", "ftp://b.org/", "https:///x", "//b.org/"}) {
    CAPTURE(url);
    std::string web = kWeb;
    CHECK(mistakes(web.replace(web.find("https://b.org/"), 14, url)) != "");
  }
}

TEST_CASE("FED-10 + https_web needs three fields") {
  auto commas = std::count(kWeb.begin(), kWeb.end(), ',');

  CHECK(commas == 2);
  CHECK(mistakes(kWeb) == "");
}

TEST_CASE("FED-12 - whose bundle it is cannot be left to the endpoint") {
  CHECK(mistakes(without(kWeb, "trust_domain: b.org, ")) != "");
  CHECK(mistakes(without(kSpiffe, "trust_domain: b.org, ")) != "");
}

TEST_CASE("FED-15 - https_spiffe without the endpoint's ID or its first bundle is refused") {
  CHECK(has(mistakes(without(kSpiffe, ", endpoint_spiffe_id: \"spiffe://b.org/endpoint\"")),
            "\"endpoint_spiffe_id\" is missing"));
  CHECK(has(mistakes(without(kSpiffe, ", bundle_file: /b.json")), "bundle_file: is missing"));
}

TEST_CASE("FED-16 + a first bundle may be the SPIFFE document, or PEM") {
  TemporaryDirectory directory;
  BundleDocument document = make_document("b.org", 1);
  auto json = directory.write("b.json", write_bundle_document(document));
  auto pem = directory.write("b.pem", document.bundle.pem());

  CHECK(read_first_bundle(domain("b.org"), json)->bundle == document.bundle);
  CHECK(read_first_bundle(domain("b.org"), pem)->bundle == document.bundle);
}

TEST_CASE("FED-16 + an endpoint of another trust domain is known by that one's bundle") {
  std::string elsewhere =
      "trust_domain: c.org, url: \"https://c.org/\", profile: https_spiffe, "
      "endpoint_spiffe_id: \"spiffe://b.org/c\"";

  CHECK(mistakes(kWeb + " }, { " + elsewhere) == "");
  CHECK(has(mistakes(elsewhere), "b.org"));
}

}  // namespace nodepilot
