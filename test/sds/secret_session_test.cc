#include "sds/secret_session.h"

#include <doctest/doctest.h>

#include <set>

#include "test/sds/session_client.h"

namespace nodepilot {
namespace {

using envoy::service::discovery::v3::DiscoveryRequest;
using testing::federate;
using testing::kDb;
using testing::kOwn;
using testing::kWeb;
using testing::make_entry;
using testing::make_update;
using testing::Names;
using testing::sorted;
using testing::TestCa;
using Client = testing::SessionClient;
using Kind = SecretVerdict::Kind;

namespace tls = envoy::extensions::transport_sockets::tls::v3;

TEST_CASE("the first request is answered with version 1") {
  Client client;
  client.update(make_update(client.ca, {make_entry("web")}));

  client.ask({"default"});

  CHECK(client.next() == Names{"default"});
  CHECK(client.last.message.version_info() == "1");
  CHECK(client.last.message.nonce() == "n1");
  CHECK(client.next().empty());
}

TEST_CASE("a request before the first update is answered when that comes") {
  Client client;

  client.ask({"default"});
  CHECK(client.next().empty());
  client.update(make_update(client.ca, {make_entry("web")}));

  CHECK(client.next() == Names{"default"});
}

TEST_CASE("an update before the first request says nothing") {
  Client client;

  client.update(make_update(client.ca, {make_entry("web")}));

  CHECK(client.next().empty());
}

TEST_CASE("a client that reconnects is answered whatever it held before") {
  Client client;
  client.update(make_update(client.ca, {make_entry("web")}));
  DiscoveryRequest request;
  request.set_version_info("41");
  request.set_response_nonce("of-another-stream");
  request.add_resource_names("default");

  CHECK(client.send(request).kind == Kind::kSubscription);

  CHECK(client.next() == Names{"default"});
  CHECK(client.last.message.version_info() == "1");
}

TEST_CASE("aliases of one thing are served side by side") {
  Client client;
  WorkloadUpdate world = make_update(client.ca, {make_entry("web")});
  client.update(world);

  client.ask({"default", kWeb, "ALL", "ROOTCA", kOwn});

  Names names = client.next();
  CHECK(names.size() == 5);
  CHECK(sorted(names) == std::set<std::string>{"default", kWeb, "ALL", "ROOTCA", kOwn});
  REQUIRE(client.last.identities.size() == 1);
  CHECK(client.last.identities[0].entry_id == "web");
}

TEST_CASE("names asked for twice are answered once") {
  Client client;
  client.update(make_update(client.ca, {make_entry("web")}));

  client.ask({"default", "default", "", "default"});

  CHECK(client.next() == Names{"default"});
}

TEST_CASE("an unknown name is held in silence while the others are served") {
  Client client;
  WorkloadUpdate world = make_update(client.ca, {make_entry("web")});
  client.update(world);

  client.ask({"spiffe://example.org/later", "default"});
  CHECK(client.next() == Names{"default"});
  CHECK(client.ack({"spiffe://example.org/later", "default"}).kind == Kind::kAck);
  CHECK(client.next().empty());

  WorkloadUpdate more = make_update(client.ca, {make_entry("later")});
  world.svids.push_back(more.svids[0]);
  client.update(world);
  CHECK(client.next() == Names{"spiffe://example.org/later"});
}

TEST_CASE("nothing at all is answered with silence, not with an empty response") {
  Client client;
  client.update(make_update(client.ca, {make_entry("web")}));

  client.ask({"spiffe://example.org/db"});

  CHECK(client.next().empty());
}

TEST_CASE("a first request without names gets everything under its own name") {
  Client client;
  TestCa other("other.org");
  WorkloadUpdate world = make_update(client.ca, {make_entry("web"), make_entry("db")});
  federate(world, other);
  client.update(world);

  SUBCASE("an empty list") { client.ask({}); }
  SUBCASE("only empty names") { client.ask({"", ""}); }

  Names names = client.next();
  CHECK(names.size() == 4);
  CHECK(sorted(names) == std::set<std::string>{kOwn, "spiffe://other.org", kWeb, kDb});
  CHECK(client.ack({}).kind == Kind::kAck);
  CHECK(client.next().empty());
}

TEST_CASE("a star asks for everything, with names or without") {
  Client client;
  WorkloadUpdate world = make_update(client.ca, {make_entry("web")});

  CHECK(client.get(world, {"*", "default"}) == Names{kOwn, "default", kWeb});
  client.ack({"*"});
  client.renew(world, 0);
  CHECK(client.next() == Names{kWeb});
  client.ack({"default"});
  CHECK(client.next() == Names{"default"});
  client.add_root(world);
  CHECK(client.next().empty());
  client.ack({"default", "*"});
  CHECK(client.next() == Names{kOwn, kWeb});
  client.ack({});
  client.renew(world, 0);
  CHECK(client.next().empty());
}

TEST_CASE("a subscription to everything gets what appears later, and only that") {
  Client client;
  WorkloadUpdate world = make_update(client.ca, {make_entry("web")});
  client.get(world, {});
  client.ack({});

  world.svids.push_back(make_update(client.ca, {make_entry("db")}).svids[0]);
  client.update(world);

  CHECK(client.next() == Names{kDb});
}

TEST_CASE("an empty list after names ends the subscription to all of them") {
  Client client;
  WorkloadUpdate world = make_update(client.ca, {make_entry("web")});
  client.get(world, {"default"});

  CHECK(client.ack({}).kind == Kind::kAck);
  client.renew(world, 0);
  CHECK(client.next().empty());
  client.ask({"default"});
  CHECK(client.next() == Names{"default"});
}

TEST_CASE("names after everything narrow the subscription") {
  Client client;
  WorkloadUpdate world = make_update(client.ca, {make_entry("web"), make_entry("db")});
  client.get(world, {});

  client.ack({kWeb, "default"});
  CHECK(client.next() == Names{"default"});
  client.renew(world, 1);
  CHECK(client.next().empty());
  client.ack({});
  client.renew(world, 0);
  CHECK(client.next().empty());
}

TEST_CASE("a changed set of names gets the new ones and not again the old") {
  Client client;
  WorkloadUpdate world = make_update(client.ca, {make_entry("web"), make_entry("db")});
  client.get(world, {kWeb});

  SUBCASE("a name more") {
    client.ack({kWeb, kDb});
    CHECK(client.next() == Names{kDb});
    CHECK(client.last.message.version_info() == "2");
    CHECK(client.last.message.nonce() == "n2");
  }
  SUBCASE("another name instead") {
    client.ack({kDb});
    CHECK(client.next() == Names{kDb});
    client.renew(world, 0);
    CHECK(client.next().empty());
  }
  SUBCASE("a name that comes back") {
    client.ack({kDb});
    client.next();
    client.ack({kDb, kWeb});
    CHECK(client.next() == Names{kWeb});
  }
}

TEST_CASE("only what has changed is pushed") {
  Client client;
  WorkloadUpdate world = make_update(client.ca, {make_entry("web"), make_entry("db")});
  client.get(world, {kWeb, kDb, "ROOTCA"});
  client.ack({kWeb, kDb, "ROOTCA"});

  client.update(world);
  CHECK(client.next().empty());
  client.renew(world, 1);
  CHECK(client.next() == Names{kDb});
  CHECK(client.last.identities.size() == 1);
  client.ack({kWeb, kDb, "ROOTCA"});
  client.add_root(world);
  CHECK(client.next() == Names{"ROOTCA"});
  CHECK(client.last.identities.empty());
}

TEST_CASE("an SVID that expires is not taken back") {
  Client client;
  WorkloadUpdate world = make_update(client.ca, {make_entry("web")});
  client.get(world, {"default"});
  client.ack({"default"});

  WorkloadUpdate expired = world;
  client.expire(expired);
  CHECK(client.next().empty());
  client.renew(world, 0);

  CHECK(client.next() == Names{"default"});
}

TEST_CASE("an identity that is taken away is not mentioned, and is sent again when it comes back") {
  Client client;
  WorkloadUpdate world = make_update(client.ca, {make_entry("web"), make_entry("db")});
  client.get(world, {kWeb, kDb});
  client.ack({kWeb, kDb});
  WorkloadUpdate less = world;
  less.entries.pop_back();
  less.svids.pop_back();

  client.update(less);
  CHECK(client.next().empty());
  client.update(world);

  CHECK(client.next() == Names{kDb});
}

TEST_CASE("the node of the first request holds until another comes") {
  Client client;
  WorkloadUpdate world = make_update(client.ca, {make_entry("web")});
  client.update(world);
  DiscoveryRequest request;
  request.add_resource_names("ROOTCA");
  auto& disable = (*request.mutable_node()
                        ->mutable_metadata()
                        ->mutable_fields())["disable_spiffe_cert_validation"];
  disable.set_bool_value(true);
  auto plain = [&] {
    tls::Secret secret;
    REQUIRE(client.last.message.resources(0).UnpackTo(&secret));
    return secret.validation_context().has_trusted_ca();
  };

  client.send(request);
  client.next();
  CHECK(plain());
  client.ack({"ROOTCA"});
  client.add_root(world);
  client.next();
  CHECK(plain());

  disable.set_bool_value(false);
  request.set_version_info("2");
  request.set_response_nonce("n2");
  client.send(request);
  CHECK(client.next() == Names{"ROOTCA"});
  CHECK_FALSE(plain());
}

TEST_CASE("a request for another type is ignored, an empty type means secrets") {
  Client client;
  client.update(make_update(client.ca, {make_entry("web")}));
  DiscoveryRequest request;
  request.add_resource_names("default");

  request.set_type_url("type.googleapis.com/envoy.config.cluster.v3.Cluster");
  CHECK(client.send(request).kind == Kind::kOtherType);
  CHECK(client.next().empty());
  request.clear_type_url();
  CHECK(client.send(request).kind == Kind::kSubscription);
  CHECK(client.next() == Names{"default"});
}

TEST_CASE("a stream may have a thousand names and no more") {
  Client client;
  DiscoveryRequest request;
  for (std::size_t i = 0; i < kMaxSecretNames; ++i) {
    request.add_resource_names("name" + std::to_string(i));
    request.add_resource_names("name" + std::to_string(i));
  }

  CHECK(client.session.on_request(request));
  request.add_resource_names("one more");
  auto refused = client.session.on_request(request);

  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::kInvalidArgument);
  CHECK(refused.error().message == "1001 resource names on one stream; at most 1000 are allowed");
}

TEST_CASE("the names of one stream have a bound in bytes") {
  Client client;
  DiscoveryRequest request;
  request.add_resource_names(std::string(kMaxSecretNameBytes, 'x'));

  CHECK(client.session.on_request(request));
  request.add_resource_names("y");
  auto refused = client.session.on_request(request);

  REQUIRE_FALSE(refused);
  CHECK(refused.error().message ==
        "131073 bytes of resource names on one stream; at most 131072 are allowed");
}

TEST_CASE("the first name that is not served is told with the cause") {
  Client client;
  WorkloadUpdate world = make_update(client.ca, {make_entry("web")});
  client.update(world);
  CHECK_FALSE(client.session.ledger().absent());

  client.ask({"default", "kubernetes://x", "z"});
  client.next();

  REQUIRE(client.session.ledger().absent());
  CHECK(client.session.ledger().absent()->name == "kubernetes://x");
  CHECK(client.session.ledger().absent()->why ==
        "it is no identity of this caller and no trust domain that it may know");
}

TEST_CASE("a session waits as long as something that it asked for is on its way") {
  Client client;
  auto waits = [&] { return client.session.ledger().waits(); };
  WorkloadUpdate world = make_update(client.ca, {make_entry("web")});
  WorkloadUpdate early = world;
  early.svids.clear();
  early.settled = false;
  CHECK(waits());

  client.update(early);
  CHECK_FALSE(waits());
  client.ask({"unknown", "ROOTCA"});
  CHECK_FALSE(waits());
  client.ask({"unknown", "default"});
  CHECK(waits());
  client.ask({"*"});
  CHECK(waits());
  client.update(world);
  CHECK_FALSE(waits());
  client.ask({"file-root:/a"});
  CHECK(waits());
}

TEST_CASE("names may change before the first answer") {
  Client client;
  client.ask({"default"});
  client.ask({"ROOTCA"});

  client.update(make_update(client.ca, {make_entry("web")}));

  CHECK(client.next() == Names{"ROOTCA"});
}

}  // namespace
}  // namespace nodepilot
