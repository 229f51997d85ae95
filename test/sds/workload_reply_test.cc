#include "sds/workload_reply.h"

#include <doctest/doctest.h>

#include "test/sds/kit.h"

namespace nodepilot {
namespace {

using testing::federate;
using testing::kNow;
using testing::make_entry;
using testing::make_update;
using testing::TestCa;

TEST_CASE("an SVID reply carries ID, chain, key, roots and hint") {
  TestCa ca("example.org");
  WorkloadUpdate update = make_update(ca, {make_entry("web", "external")});

  X509SVIDResponse reply = svid_reply(update);

  const X509Svid& held = *update.svids[0].svid;
  REQUIRE(reply.svids_size() == 1);
  const X509SVID& svid = reply.svids(0);
  CHECK(svid.spiffe_id() == "spiffe://example.org/web");
  auto leaf = Certificate::parse_der(svid.x509_svid());
  REQUIRE(leaf);
  CHECK(verify_peer_chain({*leaf}, *update.bundle, kNow).value().str() == svid.spiffe_id());
  CHECK(leaf->has_key(held.key()));
  const SecretBytes& key = held.key().pkcs8_der();
  CHECK(svid.x509_svid_key() == std::string(key.begin(), key.end()));
  CHECK(Certificate::parse_der(svid.bundle()).value() == update.bundle->roots()[0]);
  CHECK(svid.hint() == "external");
  CHECK(reply.crl_size() == 0);
}

TEST_CASE("a bundle of several roots is their DER back to back") {
  TestCa ca("example.org");
  TestCa next("example.org");
  WorkloadUpdate update = make_update(ca, {make_entry("web")});
  update.bundle = ca.bundle_with(next);

  X509SVIDResponse reply = svid_reply(update);

  CHECK(reply.svids(0).bundle() == ca.bundle()->der() + next.bundle()->der());
}

TEST_CASE("identities come in the order of the entries") {
  TestCa ca("example.org");

  X509SVIDResponse reply = svid_reply(make_update(ca, {make_entry("z"), make_entry("a")}));

  REQUIRE(reply.svids_size() == 2);
  CHECK(reply.svids(0).spiffe_id() == "spiffe://example.org/z");
  CHECK(reply.svids(1).spiffe_id() == "spiffe://example.org/a");
}

TEST_CASE("of SVIDs with one hint the first keeps it and the others stay without") {
  TestCa ca("example.org");

  X509SVIDResponse reply = svid_reply(make_update(
      ca, {make_entry("a", "h"), make_entry("b", "h"), make_entry("c"), make_entry("d", "i")}));

  REQUIRE(reply.svids_size() == 4);
  CHECK(reply.svids(0).hint() == "h");
  CHECK(reply.svids(1).hint().empty());
  CHECK(reply.svids(2).hint().empty());
  CHECK(reply.svids(3).hint() == "i");
}

TEST_CASE("federated bundles are keyed by trust domain ID, our own left out") {
  TestCa ca("example.org");
  TestCa other("other.org");
  WorkloadUpdate update = make_update(ca, {make_entry("web")});
  federate(update, other);
  federate(update, ca);

  X509SVIDResponse reply = svid_reply(update);

  REQUIRE(reply.federated_bundles_size() == 1);
  CHECK(reply.federated_bundles().at("spiffe://other.org") == other.bundle()->der());
}

TEST_CASE("a bundles reply always holds our own trust domain") {
  TestCa ca("example.org");
  TestCa other("other.org");
  WorkloadUpdate update = make_update(ca, {});

  X509BundlesResponse alone = bundles_reply(update);
  federate(update, other);
  X509BundlesResponse both = bundles_reply(update);

  REQUIRE(alone.bundles_size() == 1);
  CHECK(alone.bundles().at("spiffe://example.org") == ca.bundle()->der());
  REQUIRE(both.bundles_size() == 2);
  CHECK(both.bundles().at("spiffe://other.org") == other.bundle()->der());
}

TEST_CASE("updates that give equal replies are known as such") {
  TestCa ca("example.org");
  TestCa other("other.org");
  const WorkloadUpdate update = make_update(ca, {make_entry("a"), make_entry("b")});

  SUBCASE("the same content, in other objects") {
    WorkloadUpdate equal = update;
    equal.bundle = ca.bundle();
    equal.missing = Error{Code::kUnavailable, "a third one failed"};
    CHECK(same_svid_reply(update, equal));
    CHECK(same_bundles_reply(update, equal));
  }
  SUBCASE("a renewed SVID") {
    WorkloadUpdate renewed = update;
    renewed.svids[1].svid = ca.issue(*renewed.svids[1].entry, kNow);
    CHECK_FALSE(same_svid_reply(update, renewed));
    CHECK(same_bundles_reply(update, renewed));
  }
  SUBCASE("one SVID less") {
    WorkloadUpdate less = update;
    less.svids.pop_back();
    CHECK_FALSE(same_svid_reply(update, less));
  }
  SUBCASE("another root") {
    WorkloadUpdate rooted = update;
    rooted.bundle = ca.bundle_with(other);
    CHECK_FALSE(same_svid_reply(update, rooted));
    CHECK_FALSE(same_bundles_reply(update, rooted));
  }
  SUBCASE("another JWT key, which is no matter of X.509") {
    WorkloadUpdate rotated = update;
    rotated.bundle = ca.bundle({JwtSigningKey::generate().value().authority()});
    CHECK(same_svid_reply(update, rotated));
    CHECK(same_bundles_reply(update, rotated));
    CHECK_FALSE(same_jwt_bundles_reply(update, rotated));
  }
  SUBCASE("a further trust domain") {
    WorkloadUpdate federated = update;
    federate(federated, other);
    CHECK_FALSE(same_svid_reply(update, federated));
    CHECK_FALSE(same_bundles_reply(update, federated));
  }
}

}  // namespace
}  // namespace nodepilot
