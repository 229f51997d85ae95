#include "sds/secret_discovery.h"

#include <doctest/doctest.h>

#include "proto/envoy/discovery.pb.h"
#include "proto/envoy/tls.pb.h"
#include "sds/secret_ledger.h"
#include "test/sds/file_kit.h"
#include "test/sds/kit.h"

namespace nodepilot {
namespace {

using envoy::service::discovery::v3::DeltaDiscoveryRequest;
using envoy::service::discovery::v3::DeltaDiscoveryResponse;
using envoy::service::discovery::v3::DiscoveryRequest;
using envoy::service::discovery::v3::DiscoveryResponse;
using testing::make_entry;
using testing::Rig;
using testing::TestCall;
using namespace std::chrono_literals;

namespace tls = envoy::extensions::transport_sockets::tls::v3;

Methods methods_of(Rig& rig) {
  return secret_discovery_methods(rig.context, rig.secret_options, rig.files);
}

const std::string kService = "/envoy.service.secret.v3.SecretDiscoveryService/";

// A client that has opened a stream; it has said nothing yet.
std::unique_ptr<TestCall> open(Rig& rig, const std::string& method = "StreamSecrets") {
  return rig.call(methods_of(rig), kService + method);
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
  for (const Method& method : methods_of(rig)) {
    CHECK(method.max_request_bytes == rig.context.sds_request_bytes);
    methods[method.path] = method.requests;
  }

  CHECK(methods == std::map<std::string, Method::Requests>{
                       {kService + "StreamSecrets", Method::Requests::kMany},
                       {kService + "DeltaSecrets", Method::Requests::kMany},
                       {kService + "FetchSecrets", Method::Requests::kOne}});
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
  CHECK(call->status()->message == "workload attestation failed (ref 7f3a91)");
}

TEST_CASE("a caller that matches no entry gets not even the roots") {
  Rig rig({make_entry("web")});
  rig.install("web");
  rig.attestor.answer = Selectors{{"unix", "uid:7"}};

  auto call = open(rig);
  call->write(request({"ROOTCA"}));

  REQUIRE(call->code() == Code::kPermissionDenied);
  CHECK(call->status()->message == "no identity issued (ref 7f3a91)");
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
  int rejections = 0;
  rig.context.on_rejection = [&] { ++rejections; };
  rig.install("web");
  auto call = open(rig);
  call->write(request({"default"}));
  auto response = call->read<DiscoveryResponse>();
  CHECK(rig.store.state("web").streams == 1);
  CHECK(rig.store.state("web").streams_current == 0);

  SUBCASE("accepted") {
    call->write(ack(response, {"default"}));
    CHECK(rig.store.state("web").streams_current == 1);
    CHECK(rejections == 0);
  }
  SUBCASE("rejected") {
    DiscoveryRequest nack = ack(response, {"default"});
    nack.mutable_error_detail()->set_message("no\nsuch luck");
    call->write(nack);
    CHECK(rig.store.state("web").streams_current == 0);
    CHECK(call->sends() == 1);
    CHECK(rejections == 1);
  }
  CHECK_FALSE(call->status());
}

TEST_CASE("new roots count as everywhere when every stream of them has accepted them") {
  Rig rig({make_entry("web")});
  rig.install("web");
  auto certificates = open(rig);
  certificates->write(request({"default"}));
  certificates->write(ack(certificates->read<DiscoveryResponse>(), {"default"}));
  auto roots = open(rig);
  roots->write(request({"ROOTCA"}));
  roots->write(ack(roots->read<DiscoveryResponse>(), {"ROOTCA"}));
  BundlePtr old = rig.store.bundle();

  rig.store.set_bundle(rig.ca.bundle_with(testing::TestCa("example.org")));
  auto response = roots->read<DiscoveryResponse>();
  CHECK(rig.store.common_bundle() == old);

  SUBCASE("accepted") {
    roots->write(ack(response, {"ROOTCA"}));
    CHECK(rig.store.common_bundle() == rig.store.bundle());
  }
  SUBCASE("rejected") {
    DiscoveryRequest nack = ack(response, {"ROOTCA"});
    nack.mutable_error_detail()->set_message("no such luck");
    roots->write(nack);
    CHECK(rig.store.common_bundle() == old);
  }
  SUBCASE("gone") {
    roots->hang_up();
    CHECK(rig.store.common_bundle() == rig.store.bundle());
  }
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

// Delta.

DeltaDiscoveryRequest subscription(const std::vector<std::string>& names) {
  DeltaDiscoveryRequest request;
  for (const std::string& name : names) request.add_resource_names_subscribe(name);
  return request;
}

std::string serial_in(const DeltaDiscoveryResponse& response) {
  REQUIRE(response.resources_size() == 1);
  tls::Secret secret;
  REQUIRE(response.resources(0).resource().UnpackTo(&secret));
  auto chain = Certificate::parse_pem(secret.tls_certificate().certificate_chain().inline_bytes());
  REQUIRE(chain);
  return chain->front().serial();
}

TEST_CASE("a delta stream serves, pushes and tells the store what the client took") {
  Rig rig({make_entry("web")});
  rig.install("web");
  auto call = open(rig, "DeltaSecrets");

  call->write(subscription({"default", "unknown"}));
  REQUIRE(call->has_message());
  CHECK(call->message().secret);
  auto response = call->read<DeltaDiscoveryResponse>();
  CHECK(response.removed_resources(0) == "unknown");
  DeltaDiscoveryRequest accepted;
  accepted.set_response_nonce(response.nonce());
  call->write(accepted);
  CHECK(rig.store.state("web").streams_current == 1);
  SvidPtr renewed = rig.install("web");

  CHECK(serial_in(call->read<DeltaDiscoveryResponse>()) == renewed->leaf().serial());
  CHECK(rig.store.state("web").streams_current == 0);
  CHECK_FALSE(call->status());
}

TEST_CASE("a delta stream ends for the same causes as any other") {
  Rig rig({make_entry("web")});
  rig.install("web");

  auto garbled = open(rig, "DeltaSecrets");
  garbled->write_bytes("garbage");
  CHECK(garbled->code() == Code::kInvalidArgument);
  rig.attestor.answer = Selectors{{"unix", "uid:7"}};
  auto stranger = open(rig, "DeltaSecrets");
  CHECK(stranger->code() == Code::kPermissionDenied);
}

TEST_CASE("what a stream remembers of names counts as held for the client") {
  Rig rig({make_entry("web")});
  auto call = open(rig);
  CHECK(call->held() == 0);

  call->write(request({"default", "ROOTCA"}));

  CHECK(call->held() == 13);
}

// Fetch.

TEST_CASE("fetch answers once with what is there, unknown names left out") {
  Rig rig({make_entry("web")});
  SvidPtr svid = rig.install("web");

  auto call = open(rig, "FetchSecrets");
  call->write(request({"default", "unknown"}));

  CHECK(call->code() == Code::kOk);
  REQUIRE(call->has_message());
  CHECK(call->message().secret);
  auto response = call->read<DiscoveryResponse>();
  CHECK(serial_in(response) == svid->leaf().serial());
  CHECK(response.version_info().empty());
  CHECK(response.nonce().empty());
  CHECK(response.type_url() == kSecretType);
  CHECK(rig.store.state("web").subscribers == 0);
}

TEST_CASE("fetch without names gets everything") {
  Rig rig({make_entry("web"), make_entry("db")});
  rig.install("web");
  rig.install("db");

  auto call = open(rig, "FetchSecrets");
  call->write(request({}));

  CHECK(call->read<DiscoveryResponse>().resources_size() == 3);
}

TEST_CASE("fetch of nothing but unknown names is answered with nothing") {
  Rig rig({make_entry("web")});
  rig.install("web");

  auto call = open(rig, "FetchSecrets");
  call->write(request({"unknown"}));

  CHECK(call->code() == Code::kOk);
  auto response = call->read<DiscoveryResponse>();
  CHECK(response.resources_size() == 0);
  CHECK(response.type_url() == kSecretType);
}

TEST_CASE("fetch waits for a first SVID") {
  Rig rig({make_entry("web")});
  auto call = open(rig, "FetchSecrets");
  call->write(request({"default"}));

  rig.clock.advance(9s);
  CHECK_FALSE(call->status());
  SvidPtr svid = rig.install("web");

  CHECK(call->code() == Code::kOk);
  CHECK(serial_in(call->read<DiscoveryResponse>()) == svid->leaf().serial());
}

TEST_CASE("fetch gives what it has when it has waited long enough") {
  Rig rig({make_entry("web")});
  auto call = open(rig, "FetchSecrets");
  call->write(request({"default", "ROOTCA"}));

  rig.clock.advance(10s);

  CHECK(call->code() == Code::kOk);
  CHECK(secret_in(call->read<DiscoveryResponse>()).name() == "ROOTCA");
}

TEST_CASE("fetch that has waited in vain may come back") {
  Rig rig({make_entry("web")});
  auto call = open(rig, "FetchSecrets");
  call->write(request({"default"}));
  std::string why = "nothing of it came within 10s";
  SUBCASE("the CA is silent") {}
  SUBCASE("the CA fails") {
    rig.store.report_failure("web", {Code::kUnavailable, "CA down"});
    why = "CA down";
  }

  rig.clock.advance(10s);

  REQUIRE(call->code() == Code::kUnavailable);
  CHECK(call->status()->message == "no secret yet: " + why);
}

TEST_CASE("fetch for a caller that is not attested in time may come back") {
  Rig rig({make_entry("web")});
  rig.workers.hold();
  auto call = open(rig, "FetchSecrets");
  call->write(request({"default"}));

  rig.clock.advance(10s);

  CHECK(call->code() == Code::kUnavailable);
  rig.workers.release();
}

TEST_CASE("fetch refuses what is no request for secrets") {
  Rig rig({make_entry("web")});
  auto garbled = open(rig, "FetchSecrets");
  garbled->write_bytes("garbage");
  CHECK(garbled->code() == Code::kInvalidArgument);

  auto other = open(rig, "FetchSecrets");
  DiscoveryRequest clusters;
  clusters.set_type_url("type.googleapis.com/envoy.config.cluster.v3.Cluster");
  other->write(clusters);
  REQUIRE(other->code() == Code::kInvalidArgument);
  CHECK(other->status()->message ==
        "type_url must be type.googleapis.com/"
        "envoy.extensions.transport_sockets.tls.v3.Secret or left out");
  CHECK(rig.attestor.asked == 0);
}

TEST_CASE("a caller that matches no entry fetches nothing") {
  Rig rig({make_entry("web")});
  rig.attestor.answer = Selectors{{"unix", "uid:7"}};

  auto call = open(rig, "FetchSecrets");
  call->write(request({"ROOTCA"}));

  CHECK(call->code() == Code::kPermissionDenied);
}

// Files.

// Two callers: "web" is granted the directory of the files, "db" is not.
struct FileStage : testing::FileRig {
  FileStage() : rig({entry, other()}) {}

  static Entry other() {
    Entry other = make_entry("db");
    other.match = {{"unix", "uid:7"}};
    return other;
  }
  void call_as_other() { rig.attestor.answer = other().match; }

  Rig rig;
};

TEST_CASE(
    "a file's certificate is read off the loop, sent with its key and pushed when it changes") {
  FileStage stage;
  stage.rig.file_workers.hold();
  auto call = open(stage.rig);

  call->write(request({stage.pair_name()}));
  CHECK_FALSE(call->has_message());
  stage.rig.file_workers.run_one();
  REQUIRE(call->has_message());
  CHECK(call->message().secret);
  auto response = call->read<DiscoveryResponse>();
  CHECK(secret_in(response).name() == stage.pair_name());
  call->write(ack(response, {stage.pair_name()}));
  SvidPtr renewed = stage.ca.issue(stage.entry);
  stage.write(*renewed);
  stage.rig.clock.advance(5s);
  stage.rig.file_workers.release();

  CHECK(serial_in(call->read<DiscoveryResponse>()) == renewed->leaf().serial());
}

TEST_CASE("a file is served to a caller that is still without SVID") {
  FileStage stage;
  auto call = open(stage.rig, "FetchSecrets");

  call->write(request({stage.roots_name()}));

  CHECK(secret_in(call->read<DiscoveryResponse>()).validation_context().has_trusted_ca());
}

TEST_CASE("no caller gets the file of another, though that is being served") {
  FileStage stage;
  auto served = open(stage.rig);
  served->write(request({stage.pair_name()}));
  REQUIRE(served->has_message());
  stage.call_as_other();

  auto stream = open(stage.rig);
  stream->write(request({stage.pair_name(), stage.roots_name()}));
  auto delta = open(stage.rig, "DeltaSecrets");
  delta->write(subscription({stage.pair_name()}));
  auto fetch = open(stage.rig, "FetchSecrets");
  fetch->write(request({stage.pair_name()}));

  CHECK_FALSE(stream->has_message());
  CHECK_FALSE(stream->status());
  auto response = delta->read<DeltaDiscoveryResponse>();
  CHECK(response.resources_size() == 0);
  CHECK(response.removed_resources(0) == stage.pair_name());
  CHECK(fetch->read<DiscoveryResponse>().resources_size() == 0);
}

TEST_CASE("files are not looked at for a stream that has ended") {
  FileStage stage;
  auto call = open(stage.rig);
  call->write(request({stage.pair_name()}));

  call->hang_up();
  stage.rig.file_workers.hold();
  stage.rig.clock.advance(1h);

  CHECK(stage.rig.file_workers.queued() == 0);
}

}  // namespace
}  // namespace nodepilot
