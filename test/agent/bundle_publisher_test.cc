#include "agent/bundle_publisher.h"

#include <doctest/doctest.h>

#include <future>
#include <thread>

#include "rotation/https/https_client.h"
#include "rotation/pki/bundle_document.h"
#include "test/rotation/rig.h"
#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

const char* const kEndpoint = "spiffe://td/endpoint";

EntrySet endpoint_entries() {
  Entry entry = endpoint_entry(SpiffeId::parse(kEndpoint).value(), hours(1));
  entry.id = "endpoint";
  return EntrySet({entry});
}

// The rotation room with a publisher; only the endpoint's sockets are real.
struct PublisherRig {
  PublisherRig() { publisher = start().value(); }

  expected<std::unique_ptr<BundlePublisher>> start() {
    Publication publication{.address = "127.0.0.1",
                            .profile = SpiffeId::parse(kEndpoint).value(),
                            .refresh_hint = seconds(60)};
    return BundlePublisher::start(loop, rotation.clock, rotation.workers, rotation.store,
                                  publication, directory / "state");
  }
  BundleDocument fetch() {
    HttpsRequest request{
        .url = Url::parse("https://127.0.0.1:" + std::to_string(publisher->port()) + "/").value(),
        .server = SpiffeServer{SpiffeId::parse(kEndpoint).value(), rotation.store.bundle()},
        .now = rotation.clock.now()};
    std::future<expected<HttpsReply>> reply =
        std::async(std::launch::async, [&] { return https_send(request); });
    while (reply.wait_for(milliseconds(0)) != std::future_status::ready) {
      loop.io().run_for(milliseconds(10));
    }
    auto got = reply.get();
    REQUIRE_MESSAGE(got, got.error().message);
    return parse_bundle_document(TrustDomain::parse("td").value(), got->body).value();
  }

  TemporaryDirectory directory;
  Loop loop;
  Rig rotation{endpoint_entries(), {}, [] { return 0.5; }};
  std::unique_ptr<BundlePublisher> publisher;
};

TEST_CASE("the bundle is published with its sequence, under the endpoint's own SVID") {
  PublisherRig rig;

  BundleDocument document = rig.fetch();

  CHECK(document.bundle == *rig.rotation.store.bundle());
  CHECK(document.refresh_hint == seconds(60));
  CHECK(document.sequence);
}

TEST_CASE("a change of the bundle is published under a higher sequence") {
  PublisherRig rig;
  BundleDocument before = rig.fetch();

  rig.rotation.ca.change_root();
  rig.rotation.clock.advance(minutes(2));
  BundleDocument after = rig.fetch();

  CHECK(after.bundle == *rig.rotation.store.bundle());
  CHECK(after.bundle != before.bundle);
  CHECK(*after.sequence > *before.sequence);
}

TEST_CASE("a restart publishes the same bundle under the same sequence") {
  PublisherRig rig;
  BundleDocument before = rig.fetch();

  rig.publisher.reset();
  rig.rotation.clock.advance(minutes(5));
  rig.publisher = rig.start().value();

  CHECK(rig.fetch().sequence == before.sequence);
}

TEST_CASE("a bundle that changes while another is numbered is published as well") {
  PublisherRig rig;
  BundleDocument before = rig.fetch();
  auto fresh = [&] {
    rig.rotation.ca.change_root();
    auto root = rig.rotation.ca.root();
    return std::make_shared<const TrustBundle>(
        TrustBundle::create(TrustDomain::parse("td").value(), {before.bundle.roots().front(), root})
            .value());
  };
  rig.rotation.workers.hold();

  rig.rotation.store.set_bundle(fresh());
  BundlePtr last = fresh();
  rig.rotation.store.set_bundle(last);
  rig.rotation.workers.release();

  CHECK(rig.fetch().bundle == *last);
}

TEST_CASE("what keeps the endpoint from starting is told") {
  PublisherRig rig;
  Publication web{
      .address = "127.0.0.1",
      .profile = CertificateFiles{rig.directory / "none.pem", rig.directory / "none.key"}};

  auto started = BundlePublisher::start(rig.loop, rig.rotation.clock, rig.rotation.workers,
                                        rig.rotation.store, web, rig.directory / "state");

  REQUIRE_FALSE(started);
  CHECK(started.error().message.find("none.pem") != std::string::npos);
}

}  // namespace
}  // namespace nodepilot
