#include "sds/delta_secret_session.h"

#include <doctest/doctest.h>

#include "test/sds/session_client.h"

namespace nodepilot {
namespace {

using testing::federate;
using testing::kDb;
using testing::kOwn;
using testing::kWeb;
using testing::make_entry;
using testing::make_update;
using testing::Names;
using testing::serial_in;
using testing::sorted;
using testing::TestCa;
using Client = testing::DeltaClient;
using Request = DeltaSecretSession::Request;
using Kind = SecretVerdict::Kind;

constexpr const char* kOther = "spiffe://other.org";

// Two identities, and a client that may have more.
struct Stage : Client {
  Stage() : world(make_update(ca, {make_entry("web"), make_entry("db")})) {}

  // As when a rule is taken away.
  void lose(std::size_t identity) {
    auto at = static_cast<std::ptrdiff_t>(identity);
    world.entries.erase(world.entries.begin() + at);
    world.svids.erase(world.svids.begin() + at);
    update(world);
  }

  WorkloadUpdate world;
};

TEST_CASE("what is subscribed to is sent, each with its version, and once") {
  Stage client;

  CHECK(client.get(client.world, {"default", kDb, "ROOTCA"}) == Names{"ROOTCA", "default", kDb});

  CHECK(client.last.message.nonce() == "n1");
  CHECK(client.last.message.system_version_info() == "1");
  auto versions = client.versions();
  CHECK(versions["default"] == secret_version({.identity = &client.world.svids[0],
                                               .file = nullptr,
                                               .bundles = {},
                                               .form = {},
                                               .peers = {}}));
  CHECK(versions["default"] != versions[kDb]);
  CHECK(client.last.holds_key);
  CHECK(client.next().empty());
}

TEST_CASE("a subscription before the first update is answered when that comes") {
  Stage client;

  client.ask({"default"});
  CHECK(client.next().empty());
  client.update(client.world);

  CHECK(client.next() == Names{"default"});
}

TEST_CASE("only what has changed is pushed") {
  Stage client;
  client.get(client.world, {kWeb, kDb, "ROOTCA"});

  client.update(client.world);
  CHECK(client.next().empty());
  client.renew(client.world, 1);

  CHECK(client.next() == Names{kDb});
}

TEST_CASE("a later subscription adds to the earlier ones") {
  Stage client;
  client.get(client.world, {kWeb});

  client.ask({kDb});

  CHECK(client.next() == Names{kDb});
  client.renew(client.world, 0);
  CHECK(client.next() == Names{kWeb});
}

TEST_CASE("subscriptions may change in the answer to a response") {
  Stage client;
  client.update(client.world);
  client.ask({kWeb});
  client.next();
  Request answer = Client::request({kDb}, {kWeb});
  answer.set_response_nonce("n1");

  SUBCASE("an acceptance") { CHECK(client.send(answer).kind == Kind::kAck); }
  SUBCASE("a rejection") {
    answer.mutable_error_detail()->set_code(13);
    CHECK(client.send(answer).kind == Kind::kNack);
  }
  SUBCASE("an answer to nothing") {
    answer.set_response_nonce("n77");
    CHECK(client.send(answer).kind == Kind::kStale);
  }

  CHECK(client.next() == Names{kDb});
  client.renew(client.world, 0);
  CHECK(client.next().empty());
}

TEST_CASE("what is unsubscribed from is not pushed any more, and not told to be gone") {
  Stage client;
  client.get(client.world, {kWeb, kDb});

  client.ask({}, {kWeb, "never-heard-of"});
  client.renew(client.world, 0);
  CHECK(client.next().empty());
  client.lose(0);

  CHECK(client.next().empty());
}

TEST_CASE("who subscribes again to what it has gets it again") {
  Stage client;
  client.get(client.world, {kWeb, kDb});

  client.ask({kWeb});

  CHECK(client.next() == Names{kWeb});
  CHECK(client.next().empty());
}

TEST_CASE("a name that stands for nothing is told to be gone, once, while the others are served") {
  Stage client;

  CHECK(client.get(client.world, {"kubernetes://x", "default"}) ==
        Names{"default", "-kubernetes://x"});

  client.renew(client.world, 0);
  CHECK(client.next() == Names{"default"});
  client.ask({"kubernetes://x"});
  CHECK(client.next() == Names{"-kubernetes://x"});
}

TEST_CASE("what is not issued yet is not told to be gone") {
  Stage client;
  WorkloadUpdate early = client.world;
  client.expire(early);

  client.ask({"default", kWeb});
  CHECK(client.next().empty());
  client.update(client.world);

  CHECK(client.next() == Names{"default", kWeb});
}

TEST_CASE("an SVID that expires is not taken back, and its successor is sent") {
  Stage client;
  Names names;
  SUBCASE("by name") { names = {kWeb}; }
  SUBCASE("as a part of everything") { names = {"*"}; }
  client.get(client.world, names);
  WorkloadUpdate expired = client.world;

  client.expire(expired);
  CHECK(client.next().empty());
  client.renew(client.world, 0);

  CHECK(client.next() == Names{kWeb});
}

TEST_CASE("an identity that the caller loses is told to be gone, and sent when it comes back") {
  Stage client;
  WorkloadUpdate before = client.world;
  client.get(client.world, {kWeb, kDb});

  client.lose(1);
  CHECK(client.next() == Names{std::string("-") + kDb});
  CHECK(client.ack().kind == Kind::kAck);
  client.update(client.world);
  CHECK(client.next().empty());
  client.update(before);

  CHECK(client.next() == Names{kDb});
}

TEST_CASE("a foreign trust domain is awaited, served, revoked and served again") {
  Stage client;
  TestCa other("other.org");
  Entry entry = make_entry("web");
  entry.federates_with = {TrustDomain::parse("other.org").value()};
  client.world.entries[0] = std::make_shared<const Entry>(entry);
  CHECK(client.get(client.world, {kOther}).empty());

  WorkloadUpdate federated = client.world;
  federate(federated, other);
  client.update(federated);
  CHECK(client.next() == Names{kOther});
  WorkloadUpdate revoked = client.world;
  TrustDomain name = other.bundle()->trust_domain();
  revoked.federated.emplace(
      name, std::make_shared<const TrustBundle>(TrustBundle::foreign(name, {}, {})));
  client.update(revoked);
  CHECK(client.next() == Names{std::string("-") + kOther});
  client.update(federated);

  CHECK(client.next() == Names{kOther});
}

TEST_CASE("a client that comes back is sent only what has changed meanwhile") {
  Stage client;
  client.get(client.world, {kWeb, kDb, "ROOTCA"});
  Stage again;
  again.ca = client.ca;
  Request request = Client::request({kWeb, kDb, "ROOTCA"});
  request.set_response_nonce("of-another-stream");
  for (const auto& [name, version] : client.versions()) {
    (*request.mutable_initial_resource_versions())[name] = version;
  }

  SUBCASE("nothing") {
    again.update(client.world);
    CHECK(again.send(request).kind == Kind::kSubscription);
    CHECK(again.next().empty());
    client.world.svids[1].svid = client.ca.issue(*client.world.entries[1]);
    again.update(client.world);
    CHECK(again.next() == Names{kDb});
  }
  SUBCASE("an identity") {
    client.renew(client.world, 0);
    again.update(client.world);
    again.send(request);
    CHECK(again.next() == Names{kWeb});
  }
  SUBCASE("roots and identities: roots first") {
    client.renew(client.world, 0);
    client.add_root(client.world);
    again.update(client.world);
    again.send(request);
    CHECK(again.next() == Names{"ROOTCA"});
    CHECK(again.next().empty());
    again.ack();
    CHECK(again.next() == Names{kWeb});
  }
  SUBCASE("an identity that is gone") {
    client.lose(1);
    again.update(client.world);
    again.send(request);
    CHECK(again.next() == Names{std::string("-") + kDb});
  }
  SUBCASE("an identity that is not issued yet by an agent that has just started") {
    WorkloadUpdate early = client.world;
    again.expire(early);
    again.send(request);
    CHECK(again.next().empty());
  }
}

TEST_CASE(
    "versions that the client did not get from us, or for what it does not want, are no hold") {
  Stage client;
  client.update(client.world);
  Request request = Client::request({kWeb, kDb});
  auto& versions = *request.mutable_initial_resource_versions();
  versions[kWeb] = std::string(100000, 'x');
  versions[kDb] = "";
  versions["ROOTCA"] = "1";

  client.send(request);

  CHECK(client.next() == Names{kDb, kWeb});
  client.ask({"ROOTCA"});
  CHECK(client.next() == Names{"ROOTCA"});
}

TEST_CASE("a first request that names nothing, or a star, asks for everything under its own name") {
  Stage client;
  TestCa other("other.org");
  federate(client.world, other);
  client.update(client.world);

  SUBCASE("nothing") { client.ask({}); }
  SUBCASE("empty names") { client.ask({"", ""}); }
  SUBCASE("a star") { client.ask({"*"}); }

  CHECK(sorted(client.next()) == std::set<std::string>{kOwn, kOther, kWeb, kDb});
  client.ack();
  CHECK(client.next().empty());
}

TEST_CASE("of everything, what appears is sent and what goes is told") {
  Stage client;
  WorkloadUpdate all = client.world;
  client.lose(1);
  client.get(client.world, {"*"});

  client.update(all);
  CHECK(client.next() == Names{kDb});
  client.update(client.world);
  CHECK(client.next() == Names{std::string("-") + kDb});
  client.update(client.world);
  CHECK(client.next().empty());
}

TEST_CASE("a client of everything that comes back is told what is gone") {
  Stage client;
  client.get(client.world, {"*"});
  Stage again;
  Request request = Client::request({"*"});
  for (const auto& [name, version] : client.versions()) {
    (*request.mutable_initial_resource_versions())[name] = version;
  }
  client.lose(1);

  again.update(client.world);
  again.send(request);

  CHECK(again.next() == Names{std::string("-") + kDb});
}

TEST_CASE("aliases beside everything are served until they are unsubscribed from") {
  Stage client;
  CHECK(sorted(client.get(client.world, {"*", "default"})) ==
        std::set<std::string>{kOwn, "default", kWeb, kDb});

  client.ask({}, {"default"});

  CHECK(client.next() == Names{"-default"});
  client.renew(client.world, 0);
  CHECK(client.next() == Names{kWeb});
}

TEST_CASE("who unsubscribes from a part of everything is told that it still is one") {
  Stage client;
  client.get(client.world, {"*", kWeb});

  client.ask({}, {kWeb});

  CHECK(client.next() == Names{kWeb});
}

TEST_CASE("without the star only what was named is left") {
  Stage client;
  client.get(client.world, {"*", kWeb});

  client.ask({}, {"*"});
  client.renew(client.world, 1);
  CHECK(client.next().empty());
  client.renew(client.world, 0);

  CHECK(client.next() == Names{kWeb});
}

TEST_CASE("a later request without names asks for nothing more") {
  Stage client;
  client.get(client.world, {kWeb});

  client.ask({});

  CHECK(client.next().empty());
}

TEST_CASE("who subscribes and unsubscribes at once asks for nothing") {
  Stage client;
  client.update(client.world);

  client.ask({kWeb}, {kWeb});

  CHECK(client.next().empty());
}

TEST_CASE("an acceptance tells which identities the client has now") {
  Stage client;
  client.update(client.world);
  client.ask({"default", kWeb});
  client.next();

  SecretVerdict verdict = client.ack();

  CHECK(verdict.kind == Kind::kAck);
  CHECK(verdict.version == "1");
  REQUIRE(verdict.identities.size() == 1);
  CHECK(verdict.identities[0].entry_id == "web");
  CHECK(verdict.identities[0].serial == serial_in(client.world, 0));
}

TEST_CASE("a rejected resource is not sent again before it changes or is asked for anew") {
  Stage client;
  client.update(client.world);
  client.ask({kWeb});
  client.next();

  SecretVerdict verdict = client.nack("no such key");
  CHECK(verdict.kind == Kind::kNack);
  CHECK(verdict.detail == "no such key");
  for (int i = 0; i < 1000; ++i) client.nack();
  client.update(client.world);
  client.ask({kDb});
  CHECK(client.next() == Names{kDb});
  CHECK(client.session.ledger().rejected() == 1);

  SUBCASE("changed") { client.renew(client.world, 0); }
  SUBCASE("asked for anew") { client.ask({kWeb}); }
  CHECK(client.next() == Names{kWeb});
}

TEST_CASE("changed roots go first and certificates follow the answer") {
  Stage client;
  client.get(client.world, {"default", "ROOTCA"});
  client.world.bundle = client.ca.bundle_with(TestCa("example.org"));
  client.renew(client.world, 0);

  CHECK(client.next() == Names{"ROOTCA"});
  CHECK(client.next().empty());
  SUBCASE("an acceptance") { client.ack(); }
  SUBCASE("a rejection") { client.nack(); }

  CHECK(client.next() == Names{"default"});
}

TEST_CASE("one response is under way and the next has the newest content") {
  Stage client;
  client.update(client.world);
  client.ask({"default"});
  REQUIRE(client.session.next());

  client.renew(client.world, 0);
  client.renew(client.world, 0);
  CHECK_FALSE(client.session.next());
  client.session.ledger().on_sent();

  client.next();
  REQUIRE(client.last.identities.size() == 1);
  CHECK(client.last.identities[0].serial == serial_in(client.world, 0));
}

TEST_CASE("the node of the first request holds for what comes later") {
  Stage client;
  client.update(client.world);
  Request request = Client::request({"ROOTCA"});
  (*request.mutable_node()->mutable_metadata()->mutable_fields())["disable_spiffe_cert_validation"]
      .set_bool_value(true);
  auto plain = [&] {
    envoy::extensions::transport_sockets::tls::v3::Secret secret;
    REQUIRE(client.last.message.resources(0).resource().UnpackTo(&secret));
    return secret.validation_context().has_trusted_ca();
  };

  client.send(request);
  client.next();
  CHECK(plain());
  client.ack();
  client.add_root(client.world);
  client.next();

  CHECK(plain());
}

TEST_CASE("a request for another type is ignored, an empty type means secrets") {
  Stage client;
  client.update(client.world);
  Request request = Client::request({"default"});

  request.set_type_url("type.googleapis.com/envoy.config.cluster.v3.Cluster");
  SecretVerdict verdict = client.send(request);
  CHECK(verdict.kind == Kind::kOtherType);
  CHECK(verdict.detail == request.type_url());
  CHECK(client.next().empty());
  request.clear_type_url();
  client.send(request);

  CHECK(client.next() == Names{"default"});
}

TEST_CASE("a stream has a bound of names, however many requests bring them") {
  Stage client;
  for (std::size_t i = 0; i < kMaxSecretNames; ++i) client.ask({"name" + std::to_string(i)});
  client.ask({"name1"});

  auto refused = client.session.on_request(Client::request({"one more"}));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::kInvalidArgument);
  CHECK(refused.error().message == "1001 resource names on one stream; at most 1000 are allowed");
  CHECK(client.session.on_request(Client::request({"one more"}, {"name1"})));
}

TEST_CASE("a stream has a bound of versions from an earlier one") {
  Stage client;
  Request request = Client::request({"*"});
  auto& versions = *request.mutable_initial_resource_versions();
  for (std::size_t i = 0; i <= kMaxSecretNames; ++i) versions[std::to_string(i)] = "1";

  auto refused = client.session.on_request(request);

  REQUIRE_FALSE(refused);
  CHECK(refused.error().message == "1001 initial resource versions; at most 1000 are allowed");
}

TEST_CASE("subscribing and unsubscribing for ever costs nothing") {
  Stage client;
  client.get(client.world, {"*"});
  for (int i = 0; i < 5000; ++i) {
    std::string name = "name" + std::to_string(i);
    client.ask({name});
    client.ask({}, {name});
  }

  CHECK(client.session.ledger().held() == 0);
  CHECK(client.next().empty());
}

}  // namespace
}  // namespace nodepilot
