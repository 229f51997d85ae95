#include "sds/secret_discovery.h"

#include <doctest/doctest.h>

#include "proto/envoy/discovery.pb.h"
#include "proto/envoy/tls.pb.h"
#include "test/sds/kit.h"

namespace nodepilot {
namespace {

using envoy::service::discovery::v3::DiscoveryRequest;
using envoy::service::discovery::v3::DiscoveryResponse;
using testing::make_entry;
using testing::Rig;
using testing::TestCall;
using namespace std::chrono_literals;

namespace tls = envoy::extensions::transport_sockets::tls::v3;

const std::string kService = "/envoy.service.secret.v3.SecretDiscoveryService/";

// A client that has opened a stream; it has said nothing yet.
std::unique_ptr<TestCall> open(const Rig& rig) {
  return rig.call(secret_discovery_methods(rig.context), kService + "StreamSecrets");
}

DiscoveryRequest request(const std::vector<std::string>& names) {
  DiscoveryRequest request;
  request.set_type_url("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret");
  for (const std::string& name : names) request.add_resource_names(name);
  return request;
}

// What a client says when it accepts a response.
DiscoveryRequest ack(const DiscoveryResponse& response, const std::vector<std::string>& names) {
  DiscoveryRequest accepted = request(names);
  accepted.set_version_info(response.version_info());
  accepted.set_response_nonce(response.nonce());
  return accepted;
}

tls::Secret secret_in(const DiscoveryResponse& response) {
  REQUIRE(response.resources_size() == 1);
  tls::Secret secret;
  REQUIRE(response.resources(0).UnpackTo(&secret));
  return secret;
}

std::string serial_in(const DiscoveryResponse& response) {
  auto chain = Certificate::parse_pem(
      secret_in(response).tls_certificate().certificate_chain().inline_bytes());
  REQUIRE(chain);
  return chain->front().serial();
}

TEST_CASE("the service has the three methods of Envoy's") {
  Rig rig({});

  std::map<std::string, Method::Requests> methods;
  for (const Method& method : secret_discovery_methods(rig.context)) {
    CHECK(method.max_request_bytes == rig.context.sds_request_bytes);
    methods[method.path] = method.requests;
  }

  CHECK(methods == std::map<std::string, Method::Requests>{
                       {kService + "StreamSecrets", Method::Requests::kMany},
                       {kService + "DeltaSecrets", Method::Requests::kMany},
                       {kService + "FetchSecrets", Method::Requests::kOne}});
}

TEST_CASE("delta and fetch are not implemented") {
  Rig rig({make_entry("web")});

  for (const char* name : {"DeltaSecrets", "FetchSecrets"}) {
    auto call = rig.call(secret_discovery_methods(rig.context), kService + name);
    call->write(request({"default"}));
    call->half_close();

    CHECK(call->code() == Code::kUnimplemented);
    CHECK(call->status()->message.find(name) == 0);
  }
  CHECK(rig.attestor.asked == 0);
}

TEST_CASE("a stream needs no header and is attested once") {
  Rig rig({make_entry("web")});
  SvidPtr svid = rig.install("web");

  auto call = open(rig);
  CHECK_FALSE(call->has_message());
  call->write(request({"default"}));

  REQUIRE(call->has_message());
  CHECK(call->message().secret);
  auto response = call->read<DiscoveryResponse>();
  CHECK(serial_in(response) == svid->leaf().serial());
  const std::string pem = secret_in(response).tls_certificate().private_key().inline_bytes();
  auto key = PrivateKey::parse_pem(SecretBytes(pem.begin(), pem.end()));
  REQUIRE(key);
  CHECK(svid->leaf().has_key(*key));
  call->write(ack(response, {"default"}));
  CHECK(rig.attestor.asked == 1);
  CHECK(call->sends() == 1);
}

TEST_CASE("roots are no secret") {
  Rig rig({make_entry("web")});

  auto call = open(rig);
  call->write(request({"ROOTCA"}));

  REQUIRE(call->has_message());
  CHECK_FALSE(call->message().secret);
}

TEST_CASE("nonces are sixteen hex digits and never the same") {
  Rig rig({make_entry("web")});
  std::set<std::string> nonces;

  for (int i = 0; i < 20; ++i) {
    auto call = open(rig);
    call->write(request({"ROOTCA"}));
    nonces.insert(call->read<DiscoveryResponse>().nonce());
  }

  CHECK(nonces.size() == 20);
  CHECK(nonces.begin()->size() == 16);
  CHECK(nonces.begin()->find_first_not_of("0123456789abcdef") == std::string::npos);
}

TEST_CASE("requests that come before the attestation ends are answered after it") {
  Rig rig({make_entry("web")});
  rig.install("web");
  rig.workers.hold();
  auto call = open(rig);

  call->write(request({"default"}));
  CHECK_FALSE(call->has_message());
  rig.workers.release();

  CHECK(call->has_message());
}

TEST_CASE("an attestation that ends after its stream is dropped") {
  Rig rig({make_entry("web")});
  rig.workers.hold();
  auto call = open(rig);
  call->write(request({"default"}));

  SUBCASE("hung up") { call->hang_up(); }
  SUBCASE("half closed") { call->half_close(); }
  rig.workers.release();

  CHECK(rig.store.state("web").subscribers == 0);
}

TEST_CASE("a caller that cannot be attested may open its stream again") {
  Rig rig({make_entry("web")});
  rig.attestor.answer = fail(Code::kInternal, "proc is broken");

  auto call = open(rig);

  REQUIRE(call->code() == Code::kUnavailable);
  CHECK(call->status()->message == "workload attestation failed");
}

TEST_CASE("a caller that matches no entry gets not even the roots") {
  Rig rig({make_entry("web")});
  rig.install("web");
  rig.attestor.answer = Selectors{{"unix", "uid:7"}};

  auto call = open(rig);
  call->write(request({"ROOTCA"}));

  REQUIRE(call->code() == Code::kPermissionDenied);
  CHECK(call->status()->message == "no identity issued");
  CHECK_FALSE(call->has_message());
}

TEST_CASE("the identity of another caller is held in silence") {
  Entry other = make_entry("db");
  other.match = {{"unix", "uid:7"}};
  Rig rig({make_entry("web"), other});
  rig.install("web");
  rig.install("db");

  auto call = open(rig);
  call->write(request({"spiffe://example.org/db"}));

  CHECK_FALSE(call->has_message());
  CHECK_FALSE(call->status());
}

TEST_CASE("an Envoy without its SVID waits as long as it takes") {
  Rig rig({make_entry("web")});
  auto call = open(rig);
  call->write(request({"default"}));

  rig.store.report_failure("web", {Code::kUnavailable, "CA down"});
  rig.clock.advance(24h);
  CHECK_FALSE(call->status());
  CHECK_FALSE(call->has_message());
  SvidPtr svid = rig.install("web");

  CHECK(serial_in(call->read<DiscoveryResponse>()) == svid->leaf().serial());
}

TEST_CASE("a renewal is pushed, an expiry is not") {
  Rig rig({make_entry("web")});
  rig.install("web", 1h);
  auto call = open(rig);
  call->write(request({"default"}));
  call->write(ack(call->read<DiscoveryResponse>(), {"default"}));

  SvidPtr renewed = rig.install("web", 2h);
  auto response = call->read<DiscoveryResponse>();
  CHECK(serial_in(response) == renewed->leaf().serial());
  call->write(ack(response, {"default"}));
  rig.clock.advance(3h);
  rig.store.drop_expired();

  CHECK(call->sends() == 2);
  CHECK_FALSE(call->status());
}

TEST_CASE("a failing CA leaves the valid SVID to new streams too") {
  Rig rig({make_entry("web")});
  SvidPtr svid = rig.install("web");
  auto first = open(rig);

  rig.store.report_failure("web", {Code::kUnavailable, "CA down"});
  auto second = open(rig);
  second->write(request({"default"}));

  CHECK(serial_in(second->read<DiscoveryResponse>()) == svid->leaf().serial());
}

TEST_CASE("a client that was stopped gets one old response and then the newest state") {
  Rig rig({make_entry("web")});
  rig.install("web");
  auto call = open(rig);
  call->write(request({"default"}));
  for (int i = 0; i < 100; ++i) rig.install("web");
  SvidPtr newest = rig.install("web");

  call->read<DiscoveryResponse>();

  CHECK(serial_in(call->read<DiscoveryResponse>()) == newest->leaf().serial());
  CHECK_FALSE(call->has_message());
}

TEST_CASE("the store learns which SVID a client was given and which it took") {
  Rig rig({make_entry("web")});
  rig.install("web");
  auto call = open(rig);
  call->write(request({"default"}));
  auto response = call->read<DiscoveryResponse>();
  CHECK(rig.store.state("web").streams == 1);
  CHECK(rig.store.state("web").streams_current == 0);

  SUBCASE("accepted") {
    call->write(ack(response, {"default"}));
    CHECK(rig.store.state("web").streams_current == 1);
  }
  SUBCASE("rejected") {
    DiscoveryRequest nack = ack(response, {"default"});
    nack.mutable_error_detail()->set_message("no\nsuch luck");
    call->write(nack);
    CHECK(rig.store.state("web").streams_current == 0);
    CHECK(call->sends() == 1);
  }
  CHECK_FALSE(call->status());
}

TEST_CASE("a request that does not parse ends the stream") {
  Rig rig({make_entry("web")});
  rig.install("web");

  const std::vector<std::string> wrong{"\x0a\x7f", "\x1a\x01\xff", "garbage"};
  for (const std::string& bytes : wrong) {
    auto call = open(rig);
    call->write_bytes(bytes);
    call->write(request({"default"}));

    CHECK(call->code() == Code::kInvalidArgument);
    CHECK_FALSE(call->has_message());
  }
}

TEST_CASE("what comes after the end of a stream is ignored") {
  Rig rig({make_entry("web")});
  rig.install("web");
  auto call = open(rig);
  call->write(request({"default"}));
  auto response = call->read<DiscoveryResponse>();
  call->write_bytes("garbage");

  call->write(ack(response, {"default", "ROOTCA"}));
  rig.install("web");

  CHECK(call->code() == Code::kInvalidArgument);
  CHECK(call->sends() == 1);
}

TEST_CASE("too many names end the stream") {
  Rig rig({make_entry("web")});
  std::vector<std::string> names;
  for (int i = 0; i <= 1000; ++i) names.push_back(std::to_string(i));

  auto call = open(rig);
  call->write(request(names));

  CHECK(call->code() == Code::kInvalidArgument);
  CHECK(rig.store.state("web").subscribers == 0);
}

TEST_CASE("a request for another type leaves the stream open") {
  Rig rig({make_entry("web")});
  rig.install("web");
  auto call = open(rig);
  DiscoveryRequest other = request({"default"});
  other.set_type_url("type.googleapis.com/envoy.config.cluster.v3.Cluster");

  call->write(other);
  call->write(other);
  CHECK_FALSE(call->has_message());
  call->write(request({"default"}));

  CHECK(call->has_message());
}

TEST_CASE("a client that closes its side ends the stream cleanly") {
  Rig rig({make_entry("web")});
  rig.install("web");
  auto call = open(rig);
  call->write(request({"default"}));
  call->read<DiscoveryResponse>();

  call->half_close();

  CHECK(call->code() == Code::kOk);
  CHECK(rig.store.state("web").subscribers == 0);
}

}  // namespace
}  // namespace nodepilot
