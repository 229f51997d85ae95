// What a session makes of acceptance, rejection and silence, and in which order it sends.
#include "sds/secret_session.h"

#include <doctest/doctest.h>

#include "test/sds/session_client.h"

namespace nodepilot {
namespace {

using envoy::service::discovery::v3::DiscoveryRequest;
using testing::kDb;
using testing::kWeb;
using testing::make_entry;
using testing::make_update;
using testing::Names;
using testing::serial_in;
using testing::TestCa;
using Client = testing::SessionClient;
using Kind = SecretVerdict::Kind;

TEST_CASE("an accepted response is not followed by another") {
  Client client;
  WorkloadUpdate world = make_update(client.ca, {make_entry("web")});
  client.get(world, {"default"});

  SecretVerdict verdict = client.ack({"default"});

  CHECK(verdict.kind == Kind::kAck);
  CHECK(verdict.version == "1");
  REQUIRE(verdict.identities.size() == 1);
  CHECK(verdict.identities[0].entry_id == "web");
  CHECK(verdict.identities[0].serial == serial_in(world, 0));
  CHECK(client.next().empty());
}

TEST_CASE("a response is accepted only once") {
  Client client;
  client.get(make_update(client.ca, {make_entry("web")}), {"default"});
  client.ack({"default"});

  CHECK(client.ack({"default"}).kind == Kind::kSubscription);
}

TEST_CASE("a request with an old or foreign nonce is ignored") {
  Client client;
  WorkloadUpdate world = make_update(client.ca, {make_entry("web"), make_entry("db")});
  client.get(world, {kWeb});
  DiscoveryRequest request;
  request.set_version_info("1");
  request.add_resource_names(kDb);

  SUBCASE("foreign") { request.set_response_nonce("n77"); }
  SUBCASE("none") { request.set_response_nonce(""); }

  CHECK(client.send(request).kind == Kind::kStale);
  CHECK(client.next().empty());
  client.renew(world, 1);
  CHECK(client.next().empty());
}

TEST_CASE("a late answer tells what was taken but not what is wanted") {
  Client client;
  WorkloadUpdate world = make_update(client.ca, {make_entry("web"), make_entry("db")});
  client.get(world, {kWeb, kDb});
  client.ack({kWeb, kDb});
  client.renew(world, 0);
  client.next();
  client.renew(world, 1);
  client.next();
  DiscoveryRequest late;
  late.set_version_info("2");
  late.set_response_nonce("n2");
  late.add_resource_names("ROOTCA");

  SecretVerdict verdict = client.send(late);

  CHECK(verdict.kind == Kind::kAck);
  REQUIRE(verdict.identities.size() == 1);
  CHECK(verdict.identities[0].serial == serial_in(world, 0));
  CHECK(client.next().empty());
  verdict = client.ack({kWeb, kDb});
  CHECK(verdict.kind == Kind::kAck);
  REQUIRE(verdict.identities.size() == 1);
  CHECK(verdict.identities[0].serial == serial_in(world, 1));
}

TEST_CASE("a rejected response is reported and not sent again") {
  Client client;
  WorkloadUpdate world = make_update(client.ca, {make_entry("web")});
  client.get(world, {"default"});

  SecretVerdict verdict = client.nack({"default"}, "key does not match");

  CHECK(verdict.kind == Kind::kNack);
  CHECK(verdict.version == "1");
  CHECK(verdict.detail == "key does not match");
  CHECK(verdict.identities.empty());
  CHECK(client.session.ledger().rejected() == 1);
  CHECK(client.next().empty());
  for (int i = 0; i < 1000; ++i) client.nack({"default"});
  client.update(world);
  CHECK(client.next().empty());
  CHECK(client.session.ledger().rejected() == 1);
}

TEST_CASE("an answer with another version is a rejection even without a reason") {
  Client client;
  client.get(make_update(client.ca, {make_entry("web")}), {"default"});

  SUBCASE("no version") { CHECK(client.ask({"default"}).kind == Kind::kNack); }
  SUBCASE("a wrong version") {
    DiscoveryRequest request;
    request.set_version_info("01");
    request.set_response_nonce("n1");
    request.add_resource_names("default");
    CHECK(client.send(request).kind == Kind::kNack);
  }
  CHECK(client.next().empty());
}

TEST_CASE("the reason of a rejection is cut to a bounded length") {
  Client client;
  client.get(make_update(client.ca, {make_entry("web")}), {"default"});

  CHECK(client.nack({"default"}, std::string(100000, 'x')).detail.size() == 512);
}

TEST_CASE("what was rejected is sent again when it changes") {
  Client client;
  WorkloadUpdate world = make_update(client.ca, {make_entry("web")});
  client.get(world, {"default", "ROOTCA"});
  client.nack({"default", "ROOTCA"});

  client.renew(world, 0);

  CHECK(client.next() == Names{"default"});
  CHECK(client.ack({"default", "ROOTCA"}).kind == Kind::kAck);
}

TEST_CASE("what was rejected is sent again when the set of names changes") {
  Client client;
  client.get(make_update(client.ca, {make_entry("web"), make_entry("db")}), {kWeb});

  client.nack({kWeb, kDb});

  CHECK(client.next() == Names{kDb, kWeb});
  client.ack({kWeb, kDb});
  client.ack({kWeb});
  CHECK(client.next().empty());
}

TEST_CASE("a rejection is about the resources of its response only") {
  Client client;
  WorkloadUpdate world = make_update(client.ca, {make_entry("web"), make_entry("db")});
  client.get(world, {kWeb, kDb});
  client.ack({kWeb, kDb});
  client.renew(world, 1);
  client.next();

  client.nack({kWeb, kDb, "default"});

  CHECK(client.next() == Names{"default", kDb});
}

TEST_CASE("changed roots go first and certificates follow the answer") {
  Client client;
  WorkloadUpdate world = make_update(client.ca, {make_entry("web")});
  CHECK(client.get(world, {"default", "ROOTCA"}).size() == 2);
  client.ack({"default", "ROOTCA"});
  world.bundle = client.ca.bundle_with(TestCa("example.org"));
  client.renew(world, 0);

  CHECK(client.next() == Names{"ROOTCA"});
  CHECK(client.next().empty());
  SUBCASE("an acceptance") { client.ack({"default", "ROOTCA"}); }
  SUBCASE("a rejection") { client.nack({"default", "ROOTCA"}); }
  CHECK(client.next() == Names{"default"});
}

TEST_CASE("a certificate that changes after the roots waits for the answer about them") {
  Client client;
  WorkloadUpdate world = make_update(client.ca, {make_entry("web")});
  client.get(world, {"default", "ROOTCA"});
  client.ack({"default", "ROOTCA"});

  client.add_root(world);
  CHECK(client.next() == Names{"ROOTCA"});
  client.renew(world, 0);
  CHECK(client.next().empty());
  client.add_root(world);
  CHECK(client.next() == Names{"ROOTCA"});
  client.ack({"default", "ROOTCA"});

  CHECK(client.next() == Names{"default"});
}

TEST_CASE("roots that the client does not watch hold nothing back") {
  Client client;
  WorkloadUpdate world = make_update(client.ca, {make_entry("web")});
  client.get(world, {"default"});
  world.bundle = client.ca.bundle_with(TestCa("example.org"));

  client.renew(world, 0);

  CHECK(client.next() == Names{"default"});
}

TEST_CASE("one response is under way and the next has the newest content") {
  Client client;
  WorkloadUpdate world = make_update(client.ca, {make_entry("web")});
  client.update(world);
  client.ask({"default"});
  auto first = client.session.next();
  REQUIRE(first);

  client.renew(world, 0);
  client.renew(world, 0);
  CHECK_FALSE(client.session.next());
  client.session.ledger().on_sent();

  client.next();
  REQUIRE(client.last.identities.size() == 1);
  CHECK(client.last.identities[0].serial == serial_in(world, 0));
  CHECK(client.next().empty());
}

TEST_CASE("a client that never answers is still kept up to date, at bounded cost") {
  Client client;
  WorkloadUpdate world = make_update(client.ca, {make_entry("web")});
  client.update(world);
  client.ask({"default"});

  for (int i = 1; i <= 40; ++i) {
    CHECK(client.next() == Names{"default"});
    CHECK(client.last.message.version_info() == std::to_string(i));
    client.renew(world, 0);
  }

  DiscoveryRequest late;
  late.set_version_info("2");
  late.set_response_nonce("n2");
  CHECK(client.send(late).kind == Kind::kStale);
  CHECK(client.ack({"default"}).kind == Kind::kAck);
}

}  // namespace
}  // namespace nodepilot
