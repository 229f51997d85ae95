#include "sds/health.h"

#include <doctest/doctest.h>

#include "proto/grpc/health.pb.h"
#include "test/sds/kit.h"

namespace nodepilot {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using testing::make_entry;
using testing::Rig;
using testing::TestCall;
using namespace std::chrono_literals;

constexpr const char* kCheck = "/grpc.health.v1.Health/Check";
constexpr const char* kWatch = "/grpc.health.v1.Health/Watch";
const std::vector<std::string> kKnown{"", "SpiffeWorkloadAPI",
                                      "envoy.service.secret.v3.SecretDiscoveryService"};

// A client without the Workload API's header that has asked for the state of `service`.
std::unique_ptr<TestCall> ask(Rig& rig, const char* path, const std::string& service) {
  auto call = rig.call(health_methods(rig.store), path);
  HealthCheckRequest request;
  request.set_service(service);
  call->write(request);
  return call;
}

HealthCheckResponse::ServingStatus read(TestCall& call) {
  return call.read<HealthCheckResponse>().status();
}

// A rig whose CA has not told its roots.
struct YoungRig : Rig {
  YoungRig() : Rig({make_entry("web")}) { store.set_bundle(nullptr); }
};

TEST_CASE("an agent that has its CA's roots serves, as a whole and by service") {
  Rig rig({});

  for (const std::string& service : kKnown) {
    auto call = ask(rig, kCheck, service);

    CAPTURE(service);
    CHECK(read(*call) == HealthCheckResponse::SERVING);
    CHECK(call->code() == Code::kOk);
  }
}

TEST_CASE("an agent whose CA has not told its roots does not serve yet") {
  YoungRig rig;

  for (const std::string& service : kKnown) {
    auto call = ask(rig, kCheck, service);

    CAPTURE(service);
    CHECK(read(*call) == HealthCheckResponse::NOT_SERVING);
    CHECK(call->code() == Code::kOk);
  }
}

TEST_CASE("nobody is attested for a health check") {
  Rig rig({});

  ask(rig, kCheck, "");
  ask(rig, kWatch, "");

  CHECK(rig.attestor.asked == 0);
}

TEST_CASE("a check of a service that is not known is NOT_FOUND and names it") {
  Rig rig({});

  auto call = ask(rig, kCheck, "nodepilot.admin.v1.Admin");

  REQUIRE(call->code() == Code::kNotFound);
  CHECK(call->status()->message.find("\"nodepilot.admin.v1.Admin\"") != std::string::npos);
  CHECK_FALSE(call->has_message());
}

TEST_CASE("a watch of a service that is not known says so and stays open") {
  YoungRig rig;
  auto call = ask(rig, kWatch, "other");
  CHECK(read(*call) == HealthCheckResponse::SERVICE_UNKNOWN);

  rig.store.set_bundle(rig.ca.bundle());

  CHECK_FALSE(call->status());
  CHECK(call->sends() == 1);
}

TEST_CASE("a watch tells the state at once and when it changes") {
  YoungRig rig;
  auto call = ask(rig, kWatch, "SpiffeWorkloadAPI");
  CHECK(read(*call) == HealthCheckResponse::NOT_SERVING);

  rig.store.set_bundle(rig.ca.bundle());

  CHECK(read(*call) == HealthCheckResponse::SERVING);
  CHECK_FALSE(call->status());
}

TEST_CASE("what changes nothing about the state is not told to a watch") {
  Rig rig({make_entry("web")});
  auto call = ask(rig, kWatch, "");
  testing::TestCa next("example.org", rig.clock.now());

  rig.install("web");
  rig.store.set_bundle(rig.ca.bundle_with(next));
  rig.store.report_failure("web", Error{Code::kUnavailable, "the CA is away"});
  rig.clock.advance(2h);
  rig.store.drop_expired();

  CHECK(call->sends() == 1);
  CHECK(read(*call) == HealthCheckResponse::SERVING);
}

TEST_CASE("a watch that is over hears of nothing") {
  YoungRig rig;
  auto call = ask(rig, kWatch, "");
  call->hang_up();

  rig.store.set_bundle(rig.ca.bundle());

  CHECK(call->sends() == 1);
}

TEST_CASE("a health request that does not parse is refused") {
  Rig rig({});

  for (const char* path : {kCheck, kWatch}) {
    auto call = rig.call(health_methods(rig.store), path);
    call->write_bytes("\x0a\x7f");

    CAPTURE(path);
    CHECK(call->code() == Code::kInvalidArgument);
    CHECK_FALSE(call->has_message());
  }
}

TEST_CASE("both methods of health take one message") {
  Rig rig({});

  Methods methods = health_methods(rig.store);

  CHECK(methods.size() == 2);
  for (const Method& method : methods) CHECK(method.requests == Method::Requests::kOne);
}

TEST_CASE("services beyond those of every agent are known by the names that are given") {
  Rig rig({});
  for (const char* service : {"", "SpiffeWorkloadAPI", "more.Service"}) {
    auto call = rig.call(health_methods(rig.store, {"more.Service"}), kCheck);
    HealthCheckRequest request;
    request.set_service(service);
    call->write(request);

    CHECK(read(*call) == HealthCheckResponse::SERVING);
  }
  CHECK(ask(rig, kCheck, "more.Service")->code() == Code::kNotFound);
}

}  // namespace
}  // namespace nodepilot
