#include "rotation/federation/federation_keeper.h"

#include <doctest/doctest.h>

#include "test/federation/kit.h"
#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;

Federation web(const std::string& name) {
  return {domain(name), Url::parse("https://" + name + "/").value(), HttpsWeb{}};
}

Federation spiffe(const std::string& name, const std::string& endpoint,
                  std::optional<std::filesystem::path> first = {}) {
  return {domain(name), Url::parse("https://" + name + "/").value(),
          HttpsSpiffe{SpiffeId::parse(endpoint).value(), std::move(first)}};
}

// Shows what is held of the trust domains of these tests.
Entry federating_entry() {
  return {.id = "web",
          .spiffe_id = SpiffeId::parse("spiffe://td/web").value(),
          .match = {{"unix", "uid:1"}},
          .dns_names = {},
          .hint = "",
          .federates_with = {domain("b.org"), domain("c.org"), domain("d.org")}};
}

struct Rig {
  explicit Rig(std::vector<Federation> federations) : federations_(std::move(federations)) {
    restart();
  }

  void restart() {
    keeper.emplace(clock, workers, fetcher, store, federations_, directory / "state",
                   [] { return 1.0; });
    keeper->start();
  }
  FederationStatus status(const std::string& name) const {
    for (const FederationStatus& status : keeper->status()) {
      if (status.trust_domain.name() == name) return status;
    }
    throw std::out_of_range(name);
  }
  BundlePtr held(const std::string& name) const {
    auto known = store.federated_with(store.identities());
    auto it = known.find(domain(name));
    return it == known.end() ? nullptr : it->second;
  }
  bool holds(const BundleDocument& document) const {
    BundlePtr bundle = held(document.bundle.trust_domain().name());
    return bundle && *bundle == document.bundle;
  }

  TemporaryDirectory directory;
  FakeClock clock;
  InlineWorkers workers;
  FakeFetcher fetcher;
  IdentityStore store{clock, EntrySet({federating_entry()})};
  std::vector<Federation> federations_;
  std::optional<FederationKeeper> keeper;
};

TEST_CASE("a bundle is fetched at start and published") {
  Rig rig({web("b.org")});
  BundleDocument document = make_document("b.org", 1);
  rig.fetcher.serve(document);

  rig.clock.advance(1s);

  CHECK(rig.holds(document));
  CHECK(rig.fetcher.calls["b.org"] == 1);
  CHECK(rig.fetcher.anchors_seen["b.org"] == nullptr);
  FederationStatus status = rig.status("b.org");
  CHECK(status.has_bundle);
  CHECK(status.sequence == 1);
  CHECK(status.last_success == rig.clock.now());
  CHECK_FALSE(status.last_error);
}

TEST_CASE("a bundle is polled as often as it asks for, five minutes if it does not") {
  Rig rig({web("b.org"), web("c.org")});
  rig.fetcher.serve(make_document("b.org", 1, 60s));
  rig.fetcher.serve(make_document("c.org", 1));
  rig.clock.advance(1s);

  rig.clock.advance(59s);
  CHECK(rig.fetcher.calls["b.org"] == 1);
  rig.clock.advance(1s);
  CHECK(rig.fetcher.calls["b.org"] == 2);
  rig.clock.advance(1h);

  CHECK(rig.fetcher.calls["b.org"] == 62);
  CHECK(rig.fetcher.calls["c.org"] == 13);
}

TEST_CASE("absurd refresh hints are clamped") {
  Rig hasty({web("b.org")});
  Rig lazy({web("b.org")});
  hasty.fetcher.serve(make_document("b.org", 1, 0s));
  lazy.fetcher.serve(make_document("b.org", 1, std::chrono::hours(24 * 365)));

  hasty.clock.advance(1s + 5min);
  lazy.clock.advance(1s + 24h);

  CHECK(hasty.fetcher.calls["b.org"] == 1 + 30);
  CHECK(lazy.fetcher.calls["b.org"] == 2);
}

TEST_CASE("a failed poll keeps the bundle and waits for the next interval") {
  Rig rig({web("b.org")});
  BundleDocument document = make_document("b.org", 1, 60s);
  rig.fetcher.serve(document);
  rig.clock.advance(1s);
  rig.fetcher.served.clear();

  rig.clock.advance(10min);

  CHECK(rig.holds(document));
  CHECK(rig.fetcher.calls["b.org"] == 11);
  FederationStatus status = rig.status("b.org");
  CHECK(status.failures == 10);
  CHECK(status.failed_polls == 10);
  CHECK(status.polls == 11);
  REQUIRE(status.last_error);
  CHECK(status.last_error->message == "fake endpoint: down");
  CHECK(status.next_poll == rig.clock.now() + 60s);
}

TEST_CASE("polling goes on after failures, and counts them from the last success") {
  Rig rig({web("b.org")});
  rig.clock.advance(1min);
  CHECK(rig.status("b.org").failures == 2);
  CHECK_FALSE(rig.status("b.org").has_bundle);
  BundleDocument document = make_document("b.org", 1);

  rig.fetcher.serve(document);
  rig.clock.advance(1min);

  CHECK(rig.holds(document));
  CHECK(rig.status("b.org").failures == 0);
  CHECK(rig.status("b.org").failed_polls == 2);
  CHECK_FALSE(rig.status("b.org").last_error);
}

TEST_CASE("junk leaves the bundle as it is") {
  Rig rig({web("b.org")});
  BundleDocument document = make_document("b.org", 1, 60s);
  rig.fetcher.serve(document);
  rig.clock.advance(1s);

  for (const char* text :
       {"{}", "{\"keys\":[]", "<html>", "", R"({"keys":[],"spiffe_sequence":"2"})"}) {
    CAPTURE(text);
    rig.fetcher.served["b.org"] = text;
    rig.clock.advance(1min);

    CHECK(rig.holds(document));
    REQUIRE(rig.status("b.org").last_error);
    CHECK(has(rig.status("b.org").last_error->message, "GET https://b.org/: bundle of b.org: "));
  }
}

TEST_CASE("an older sequence is ignored and told") {
  Rig rig({web("b.org")});
  BundleDocument document = make_document("b.org", 5, 60s);
  rig.fetcher.serve(document);
  rig.clock.advance(1s);

  rig.fetcher.serve(make_document("b.org", 4, 60s));
  rig.clock.advance(1min);

  CHECK(rig.holds(document));
  REQUIRE(rig.status("b.org").last_error);
  CHECK(has(rig.status("b.org").last_error->message, "sequence 4 is older than 5"));
  CHECK(rig.status("b.org").sequence == 5);
}

TEST_CASE("other content under the same sequence is taken") {
  Rig rig({web("b.org")});
  rig.fetcher.serve(make_document("b.org", 5, 60s));
  rig.clock.advance(1s);
  BundleDocument other = make_document("b.org", 5, 60s);

  rig.fetcher.serve(other);
  rig.clock.advance(1min);

  CHECK(rig.holds(other));
  CHECK_FALSE(rig.status("b.org").last_error);
}

TEST_CASE("a well-formed empty bundle revokes") {
  Rig rig({web("b.org")});
  rig.fetcher.serve(make_document("b.org", 5, 60s));
  rig.clock.advance(1s);

  rig.fetcher.serve(empty_document("b.org", 6));
  rig.clock.advance(1min);

  REQUIRE(rig.held("b.org"));
  CHECK(rig.held("b.org")->roots().empty());
}

TEST_CASE("one federation's fault touches no other") {
  Rig rig({web("b.org"), web("c.org")});
  BundleDocument first = make_document("c.org", 1, 60s);
  rig.fetcher.serve(first);
  rig.fetcher.served["b.org"] = "junk";
  rig.clock.advance(1s);
  BundleDocument second = make_document("c.org", 2, 60s);

  rig.fetcher.serve(second);
  rig.clock.advance(1min);

  CHECK(rig.holds(second));
  CHECK_FALSE(rig.held("b.org"));
}

TEST_CASE("an endpoint that hangs is not asked twice at a time") {
  Rig rig({web("b.org")});
  rig.workers.hold();

  rig.clock.advance(24h);

  CHECK(rig.workers.queued() == 1);
  CHECK_FALSE(rig.status("b.org").next_poll);
}

TEST_CASE("a restart goes on from the stored copy") {
  Rig rig({web("b.org")});
  BundleDocument document = make_document("b.org", 5, 60s);
  rig.fetcher.serve(document);
  rig.clock.advance(1s);
  rig.store.set_federated(domain("b.org"), nullptr);
  rig.fetcher.serve(make_document("b.org", 4, 60s));

  rig.restart();
  CHECK(rig.holds(document));
  rig.clock.advance(1min);

  CHECK(rig.holds(document));
  CHECK(has(rig.status("b.org").last_error->message, "older"));
}

TEST_CASE("a damaged copy is no obstacle") {
  Rig rig({web("b.org")});
  rig.directory.write("state/federation/b.org.json", "junk");
  rig.restart();
  CHECK_FALSE(rig.held("b.org"));
  BundleDocument document = make_document("b.org", 5);

  rig.fetcher.serve(document);
  rig.clock.advance(1s);

  CHECK(rig.holds(document));
}

TEST_CASE("without a place for copies bundles are still fetched") {
  Rig rig({web("b.org")});
  std::filesystem::remove_all(rig.directory / "state");
  rig.directory.write("state", "a file in the way");
  rig.restart();
  BundleDocument document = make_document("b.org", 5, 60s);
  rig.fetcher.serve(document);

  rig.clock.advance(1s);

  CHECK(rig.holds(document));
  CHECK(rig.status("b.org").next_poll == rig.clock.now() + 60s);
}

TEST_CASE("a federation that is no longer configured leaves no copy") {
  Rig rig({web("b.org"), web("c.org")});
  rig.fetcher.serve(make_document("b.org", 1));
  rig.fetcher.serve(make_document("c.org", 1));
  rig.clock.advance(1s);

  rig.federations_.pop_back();
  rig.restart();

  CHECK(std::filesystem::exists(rig.directory / "state/federation/b.org.json"));
  CHECK_FALSE(std::filesystem::exists(rig.directory / "state/federation/c.org.json"));
}

TEST_CASE("a self-serving endpoint is first known by the configured bundle, then by the latest") {
  TemporaryDirectory directory;
  BundleDocument first = make_document("b.org", 1, 60s);
  auto file = directory.write("first.json", write_bundle_document(first));
  Rig rig({spiffe("b.org", "spiffe://b.org/endpoint", file)});
  CHECK(rig.holds(first));
  BundleDocument second = make_document("b.org", 2, 60s);
  rig.fetcher.serve(second);

  rig.clock.advance(1s);
  REQUIRE(rig.fetcher.anchors_seen["b.org"]);
  CHECK(*rig.fetcher.anchors_seen["b.org"] == first.bundle);
  rig.clock.advance(1min);
  CHECK(*rig.fetcher.anchors_seen["b.org"] == second.bundle);
  rig.restart();
  rig.clock.advance(1s);

  CHECK(*rig.fetcher.anchors_seen["b.org"] == second.bundle);
}

TEST_CASE("a first bundle that is missing at start is used once it is there") {
  TemporaryDirectory directory;
  BundleDocument first = make_document("b.org", 1, 60s);
  Rig rig({spiffe("b.org", "spiffe://b.org/endpoint", directory / "first.json")});
  rig.fetcher.serve(make_document("b.org", 2, 60s));
  rig.clock.advance(1min);
  CHECK(rig.fetcher.calls["b.org"] == 0);
  CHECK(has(rig.status("b.org").last_error->message, "first.json: No such file"));

  directory.write("first.json", write_bundle_document(first));
  rig.clock.advance(1min);

  CHECK(rig.fetcher.calls["b.org"] >= 1);
  CHECK(rig.status("b.org").sequence == 2);
}

TEST_CASE("after a revocation a self-serving endpoint is known no more") {
  TemporaryDirectory directory;
  auto file = directory.write("first.json", write_bundle_document(make_document("b.org", 1, 60s)));
  Rig rig({spiffe("b.org", "spiffe://b.org/endpoint", file)});
  rig.fetcher.serve(empty_document("b.org", 2));
  rig.clock.advance(1s);

  rig.clock.advance(1h);

  CHECK(rig.fetcher.calls["b.org"] == 1);
  CHECK(has(rig.status("b.org").last_error->message, "federation/b.org.json and restart"));
}

TEST_CASE("an endpoint of another trust domain is known by that one's bundle") {
  Rig rig({web("b.org"), spiffe("c.org", "spiffe://b.org/c"), spiffe("d.org", "spiffe://td/d")});
  BundleDocument of_b = make_document("b.org", 1, 60s);
  auto ours = std::make_shared<const TrustBundle>(make_document("td").bundle);
  rig.fetcher.serve(make_document("c.org", 1, 60s));
  rig.fetcher.serve(make_document("d.org", 1, 60s));
  rig.clock.advance(1s);
  CHECK(rig.fetcher.calls["c.org"] == 0);
  CHECK(has(rig.status("c.org").last_error->message, "there is no bundle of b.org yet"));
  CHECK(has(rig.status("d.org").last_error->message, "there is no bundle of td yet"));

  rig.fetcher.serve(of_b);
  rig.store.set_bundle(ours);
  rig.clock.advance(2min);

  REQUIRE(rig.fetcher.anchors_seen["c.org"]);
  CHECK(*rig.fetcher.anchors_seen["c.org"] == of_b.bundle);
  CHECK(rig.fetcher.anchors_seen["d.org"] == ours);
}

TEST_CASE("an answer that comes after the keeper's end is dropped") {
  Rig rig({web("b.org")});
  rig.fetcher.serve(make_document("b.org", 1));
  rig.workers.hold();
  rig.clock.advance(1s);

  rig.keeper.reset();
  rig.workers.release();

  CHECK_FALSE(rig.held("b.org"));
}

}  // namespace
}  // namespace nodepilot
