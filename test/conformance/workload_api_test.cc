// Workload API: what does not happen on the wire unless a CA or a federation misbehaves.
#include "sds/workload_api.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "sds/workload_reply.h"
#include "test/sds/kit.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;
using testing::make_entry;
using testing::make_update;
using testing::Rig;
using testing::TestCa;
using testing::TestCall;

// A caller that has sent its request.
std::unique_ptr<TestCall> fetch(const Rig& rig, const std::string& method = "FetchX509SVID") {
  auto call = rig.call(workload_api_methods(rig.context), "/SpiffeWorkloadAPI/" + method,
                       Metadata{{{"workload.spiffe.io", "true"}}});
  call->write_bytes("");
  return call;
}

template <class Map>
std::vector<std::string> keys(const Map& map) {
  std::vector<std::string> found;
  for (const auto& [key, value] : map) found.push_back(key);
  return found;
}

}  // namespace

TEST_CASE("WE-11 + an entitled caller hears UNAVAILABLE while the CA has not answered yet") {
  Rig rig({make_entry("web")});

  auto call = fetch(rig);
  rig.clock.advance(rig.context.first_svid_timeout);

  CHECK(call->code() == Code::kUnavailable);
}

TEST_CASE("WE-11 + a caller that cannot be looked at hears UNAVAILABLE, not that it is nobody") {
  Rig rig({make_entry("web")});
  rig.attestor.answer = fail(Code::kUnavailable, "read /proc/12/status: gone");

  CHECK(fetch(rig)->code() == Code::kUnavailable);
  CHECK(fetch(rig, "FetchX509Bundles")->code() == Code::kUnavailable);
}

TEST_CASE("WA-05 + what changes nothing for a caller sends it nothing") {
  Rig rig({make_entry("web")});
  rig.install("web");
  auto svids = fetch(rig);
  auto bundles = fetch(rig, "FetchX509Bundles");

  rig.store.set_bundle(rig.ca.bundle());
  rig.install("web");

  CHECK(svids->sends() == 2);
  CHECK(bundles->sends() == 1);
}

TEST_CASE("WA-09 - a caller whose SVIDs have all ended gets no empty message") {
  Rig rig({make_entry("web")});
  rig.install("web", 1h);
  auto call = fetch(rig);
  REQUIRE(call->read<X509SVIDResponse>().svids_size() == 1);

  rig.clock.advance(2h);
  rig.store.drop_expired();

  CHECK_FALSE(call->has_message());
  CHECK(call->code() == Code::kUnavailable);
}

TEST_CASE("WA-15 + federated bundles are keyed by the ID of their trust domain") {
  TestCa ca("example.org");
  WorkloadUpdate update = make_update(ca, {make_entry("web")});
  federate(update, TestCa("other.example"));
  federate(update, TestCa("10.0.0.1"));

  X509SVIDResponse reply = svid_reply(update);

  CHECK(reply.federated_bundles().size() == 2);
  CHECK(reply.federated_bundles().contains("spiffe://other.example"));
  CHECK(reply.federated_bundles().contains("spiffe://10.0.0.1"));
}

TEST_CASE("WA-15 - our own bundle is never among the federated") {
  TestCa ca("example.org");
  WorkloadUpdate update = make_update(ca, {make_entry("web")});
  federate(update, ca);

  CHECK(keys(svid_reply(update).federated_bundles()).empty());
}

TEST_CASE("WA-16 + with federations our own bundle is still there") {
  TestCa ca("example.org");
  WorkloadUpdate update = make_update(ca, {make_entry("web")});
  federate(update, TestCa("other.example"));

  X509BundlesResponse reply = bundles_reply(update);

  CHECK(reply.bundles().size() == 2);
  CHECK(reply.bundles().at("spiffe://example.org") == update.bundle->der());
}

TEST_CASE("FED-03 + a foreign bundle comes with the name of its trust domain") {
  TestCa other("other.example");
  WorkloadUpdate update = make_update(TestCa("example.org"), {make_entry("web")});
  federate(update, other);

  CHECK(svid_reply(update).federated_bundles().at("spiffe://other.example") ==
        other.bundle()->der());
  CHECK(bundles_reply(update).bundles().at("spiffe://other.example") == other.bundle()->der());
}

TEST_CASE("FED-04 - the roots of a foreign trust domain get into no other bundle") {
  TestCa other("other.example");
  WorkloadUpdate update = make_update(TestCa("example.org"), {make_entry("web")});
  const std::string before = update.bundle->der();
  federate(update, other);

  CHECK(svid_reply(update).svids(0).bundle() == before);
  CHECK(bundles_reply(update).bundles().at("spiffe://example.org") == before);
}

}  // namespace nodepilot
