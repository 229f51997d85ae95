#include "sds/workload_api.h"

#include <doctest/doctest.h>

#include "proto/spiffe/workload.pb.h"
#include "test/sds/kit.h"

namespace nodepilot {
namespace {

using testing::make_entry;
using testing::Rig;
using testing::TestCall;
using namespace std::chrono_literals;

constexpr const char* kSvidPath = "/SpiffeWorkloadAPI/FetchX509SVID";
constexpr const char* kBundlesPath = "/SpiffeWorkloadAPI/FetchX509Bundles";
const Metadata kHeader{{{"workload.spiffe.io", "true"}}};

// A client of the rig that has opened a stream and sent its request.
std::unique_ptr<TestCall> fetch(const Rig& rig, const char* path = kSvidPath) {
  auto call = rig.call(workload_api_methods(rig.context), path, kHeader);
  call->write_bytes("");
  return call;
}

std::string leaf_serial(const X509SVIDResponse& reply, int index) {
  return Certificate::parse_der(reply.svids(index).x509_svid()).value().serial();
}

TEST_CASE("the service has the seven methods of the standard and no other") {
  Rig rig({});

  std::set<std::string> paths;
  for (const Method& method : workload_api_methods(rig.context)) {
    CHECK(method.requests == Method::Requests::kOne);
    CHECK(method.max_request_bytes == rig.context.workload_request_bytes);
    paths.insert(method.path);
  }

  const std::string service = "/SpiffeWorkloadAPI/";
  CHECK(paths == std::set<std::string>{service + "FetchX509SVID", service + "FetchX509Bundles",
                                       service + "FetchJWTSVID", service + "FetchJWTBundles",
                                       service + "ValidateJWTSVID", service + "FetchWITSVID",
                                       service + "FetchWITBundles"});
}

TEST_CASE("without the security header every method is refused before anything else") {
  Rig rig({make_entry("web")});
  const std::vector<Metadata> wrong{
      {},
      {{{"workload.spiffe.io", ""}}},
      {{{"workload.spiffe.io", "True"}}},
      {{{"workload.spiffe.io", "1"}}},
      {{{"workload.spiffe.io", "true "}}},
      {{{"workload.spiffe.io", "true"}, {"workload.spiffe.io", "true"}}},
      {{{"workload.spiffe.io", "true"}, {"workload.spiffe.io", "false"}}},
      {{{"broker.spiffe.io", "true"}}},
  };

  for (const Method& method : workload_api_methods(rig.context)) {
    for (const Metadata& metadata : wrong) {
      auto call = rig.call({method}, method.path, metadata);
      call->write_bytes("");

      CAPTURE(method.path);
      REQUIRE(call->status());
      CHECK(call->status()->code == Code::kInvalidArgument);
      CHECK(call->status()->message == "security header missing from request");
    }
  }
  CHECK(rig.attestor.asked == 0);
}

TEST_CASE("the WIT profile is not implemented") {
  Rig rig({make_entry("web")});

  for (const char* name : {"FetchWITSVID", "FetchWITBundles"}) {
    auto call = rig.call(workload_api_methods(rig.context),
                         std::string("/SpiffeWorkloadAPI/") + name, kHeader);

    CAPTURE(name);
    CHECK(call->code() == Code::kUnimplemented);
    CHECK(call->status()->message.find(name) == 0);
  }
  CHECK(rig.attestor.asked == 0);
}

TEST_CASE("a request that does not parse is refused without attestation") {
  Rig rig({make_entry("web")});

  for (const char* path : {kSvidPath, kBundlesPath}) {
    auto call = rig.call(workload_api_methods(rig.context), path, kHeader);
    call->write_bytes("\x0a\x7f");

    CHECK(call->code() == Code::kInvalidArgument);
  }
  CHECK(rig.attestor.asked == 0);
}

TEST_CASE("fields that the request may get some day are ignored") {
  Rig rig({make_entry("web")});
  rig.install("web");

  auto call = rig.call(workload_api_methods(rig.context), kSvidPath, kHeader);
  call->write_bytes("\x0a\x01x");

  CHECK(call->has_message());
}

TEST_CASE("a caller that cannot be attested may try again") {
  Rig rig({make_entry("web")});
  rig.attestor.answer = fail(Code::kUnavailable, "read /proc/12/status: gone");

  for (const char* path : {kSvidPath, kBundlesPath}) {
    auto call = fetch(rig, path);

    REQUIRE(call->code() == Code::kUnavailable);
    CHECK(call->status()->message.starts_with("workload attestation failed (ref 7f3a9"));
  }
}

TEST_CASE("a caller that matches no entry gets neither SVID nor bundle") {
  Rig rig({make_entry("web")});
  rig.install("web");
  rig.attestor.answer = Selectors{{"unix", "uid:7"}};

  for (const char* path : {kSvidPath, kBundlesPath}) {
    auto call = fetch(rig, path);

    REQUIRE(call->code() == Code::kPermissionDenied);
    CHECK(call->status()->message.starts_with("no identity issued (ref 7f3a9"));
    CHECK_FALSE(call->has_message());
  }
}

TEST_CASE("an attestation that ends after its call is dropped") {
  Rig rig({make_entry("web")});
  rig.install("web");
  rig.workers.hold();
  auto call = fetch(rig);

  call->hang_up();
  rig.workers.release();

  CHECK_FALSE(call->has_message());
  CHECK(rig.store.state("web").subscribers == 0);
}

TEST_CASE("an SVID that is held is sent at once, as a secret") {
  Rig rig({make_entry("web")});
  SvidPtr svid = rig.install("web");

  auto call = fetch(rig);

  REQUIRE(call->has_message());
  CHECK(call->message().secret);
  auto reply = call->read<X509SVIDResponse>();
  REQUIRE(reply.svids_size() == 1);
  CHECK(leaf_serial(reply, 0) == svid->leaf().serial());
  CHECK_FALSE(call->status());
}

TEST_CASE("a stream opened before the first SVID gets it on arrival") {
  Rig rig({make_entry("web")});
  auto call = fetch(rig);
  CHECK_FALSE(call->has_message());

  SvidPtr svid = rig.install("web");

  CHECK(leaf_serial(call->read<X509SVIDResponse>(), 0) == svid->leaf().serial());
  rig.clock.advance(1min);
  CHECK_FALSE(call->status());
}

TEST_CASE("the first message waits for every identity whose issue is under way") {
  Rig rig({make_entry("a"), make_entry("b")});
  auto call = fetch(rig);

  rig.install("b");
  CHECK_FALSE(call->has_message());
  rig.install("a");

  auto reply = call->read<X509SVIDResponse>();
  REQUIRE(reply.svids_size() == 2);
  CHECK(reply.svids(0).spiffe_id() == "spiffe://example.org/a");
}

TEST_CASE("an identity that fails does not keep the others back") {
  Rig rig({make_entry("a"), make_entry("b")});
  auto call = fetch(rig);

  rig.install("b");
  rig.store.report_failure("a", {Code::kUnavailable, "the CA said no"});

  auto reply = call->read<X509SVIDResponse>();
  REQUIRE(reply.svids_size() == 1);
  CHECK(reply.svids(0).spiffe_id() == "spiffe://example.org/b");
}

TEST_CASE("after the time for a first message what is there is sent") {
  Rig rig({make_entry("a"), make_entry("b")});
  auto call = fetch(rig);
  rig.install("b");

  rig.clock.advance(9999ms);
  CHECK_FALSE(call->has_message());
  rig.clock.advance(1ms);

  CHECK(call->read<X509SVIDResponse>().svids_size() == 1);
  rig.install("a");
  CHECK(call->read<X509SVIDResponse>().svids_size() == 2);
  CHECK_FALSE(call->status());
}

TEST_CASE("a caller whose every issue has failed learns why") {
  Rig rig({make_entry("web")});
  auto call = fetch(rig);

  rig.store.report_failure("web", {Code::kPermissionDenied, "vault: 403"});

  REQUIRE(call->code() == Code::kUnavailable);
  CHECK(call->status()->message == "no certificate yet: vault: 403");
}

TEST_CASE("a caller does not wait for ever for its first message") {
  Rig rig({make_entry("web")});
  auto call = fetch(rig);

  rig.clock.advance(9999ms);
  CHECK_FALSE(call->status());
  rig.clock.advance(1ms);

  REQUIRE(call->code() == Code::kUnavailable);
  CHECK(call->status()->message == "no certificate yet: the CA did not answer within 10s");
  CHECK(rig.store.state("web").subscribers == 0);
}

TEST_CASE("a renewed SVID is pushed with all the others") {
  Rig rig({make_entry("a"), make_entry("b")});
  SvidPtr a = rig.install("a");
  rig.install("b");
  auto call = fetch(rig);
  call->read<X509SVIDResponse>();

  SvidPtr renewed = rig.install("b");

  auto reply = call->read<X509SVIDResponse>();
  REQUIRE(reply.svids_size() == 2);
  CHECK(leaf_serial(reply, 0) == a->leaf().serial());
  CHECK(leaf_serial(reply, 1) == renewed->leaf().serial());
}

TEST_CASE("a changed bundle is pushed") {
  Rig rig({make_entry("web")});
  rig.install("web");
  auto call = fetch(rig);
  call->read<X509SVIDResponse>();
  testing::TestCa next("example.org", rig.clock.now());

  rig.store.set_bundle(rig.ca.bundle_with(next));

  CHECK(call->read<X509SVIDResponse>().svids(0).bundle() == rig.ca.bundle_with(next)->der());
}

TEST_CASE("an update that changes nothing for the client is not sent") {
  Rig rig({make_entry("a"), make_entry("b")});
  rig.install("a");
  auto call = fetch(rig);
  rig.store.report_failure("b", {Code::kUnavailable, "once"});
  call->read<X509SVIDResponse>();

  rig.store.report_failure("b", {Code::kUnavailable, "twice"});

  CHECK(call->sends() == 1);
}

TEST_CASE("streams that get equal replies share one buffer while it is sent") {
  Rig rig({make_entry("web")});
  const Methods methods = workload_api_methods(rig.context);
  TestCall first(methods, kSvidPath, kHeader);
  TestCall second(methods, kSvidPath, kHeader);
  first.write_bytes("");
  second.write_bytes("");

  rig.install("web");

  REQUIRE(first.has_message());
  REQUIRE(second.has_message());
  CHECK(first.message().bytes == second.message().bytes);
  first.read<X509SVIDResponse>();
  second.read<X509SVIDResponse>();
  SvidPtr renewed = rig.install("web");
  CHECK(leaf_serial(first.read<X509SVIDResponse>(), 0) == renewed->leaf().serial());
  CHECK(leaf_serial(second.read<X509SVIDResponse>(), 0) == renewed->leaf().serial());
}

TEST_CASE("a client that was stopped gets only the newest state") {
  Rig rig({make_entry("web")});
  rig.install("web");
  auto call = fetch(rig);
  rig.install("web");

  SvidPtr newest = rig.install("web");

  CHECK(leaf_serial(call->read<X509SVIDResponse>(), 0) == newest->leaf().serial());
  CHECK_FALSE(call->has_message());
}

TEST_CASE("a failing CA leaves the valid SVID to new streams too") {
  Rig rig({make_entry("web")});
  SvidPtr held = rig.install("web");
  auto first = fetch(rig);
  first->read<X509SVIDResponse>();

  rig.store.report_failure("web", {Code::kUnavailable, "CA down"});
  auto second = fetch(rig);

  CHECK(first->sends() == 1);
  CHECK_FALSE(first->status());
  CHECK(leaf_serial(second->read<X509SVIDResponse>(), 0) == held->leaf().serial());
}

TEST_CASE("an SVID that expires is withdrawn alone") {
  Rig rig({make_entry("a"), make_entry("b")});
  rig.install("a", 1h);
  rig.install("b", 2h);
  auto call = fetch(rig);
  call->read<X509SVIDResponse>();

  rig.clock.advance(61min);
  rig.store.drop_expired();

  auto reply = call->read<X509SVIDResponse>();
  REQUIRE(reply.svids_size() == 1);
  CHECK(reply.svids(0).spiffe_id() == "spiffe://example.org/b");
}

TEST_CASE("when the last SVID expires the stream ends as unavailable") {
  Rig rig({make_entry("web")});
  rig.install("web", 1h);
  auto call = fetch(rig);
  call->read<X509SVIDResponse>();

  SUBCASE("after failures to renew it") {
    rig.store.report_failure("web", {Code::kUnavailable, "CA down"});
    rig.clock.advance(61min);
    rig.store.drop_expired();

    REQUIRE(call->code() == Code::kUnavailable);
    CHECK(call->status()->message == "no valid certificate any more: CA down");
  }
  SUBCASE("while it is being renewed") {
    rig.clock.advance(61min);
    rig.store.drop_expired();

    REQUIRE(call->code() == Code::kUnavailable);
    CHECK(call->status()->message == "no valid certificate any more: the last one has expired");
  }
  CHECK(call->sends() == 1);
}

TEST_CASE("the store learns which SVID a client was given and which it took") {
  Rig rig({make_entry("web")});
  rig.install("web");
  auto call = fetch(rig);
  CHECK(rig.store.state("web").streams == 1);
  CHECK(rig.store.state("web").streams_current == 0);

  call->read<X509SVIDResponse>();
  CHECK(rig.store.state("web").streams_current == 1);

  rig.install("web");
  CHECK(rig.store.state("web").streams_current == 0);
  call->read<X509SVIDResponse>();
  CHECK(rig.store.state("web").streams_current == 1);

  call->hang_up();
  CHECK(rig.store.state("web").streams == 0);
}

TEST_CASE("new roots count as everywhere when every client has read them") {
  Rig rig({make_entry("web")});
  rig.install("web");
  auto svids = fetch(rig);
  svids->read<X509SVIDResponse>();
  auto bundles = fetch(rig, kBundlesPath);
  bundles->read<X509BundlesResponse>();
  auto tokens = fetch(rig, "/SpiffeWorkloadAPI/FetchJWTBundles");
  BundlePtr old = rig.store.bundle();

  rig.store.set_bundle(rig.ca.bundle_with(testing::TestCa("example.org")));
  svids->read<X509SVIDResponse>();
  CHECK(rig.store.common_bundle() == old);
  bundles->read<X509BundlesResponse>();

  CHECK(rig.store.common_bundle() == rig.store.bundle());
}

TEST_CASE("bundles are answered before any SVID is there") {
  Rig rig({make_entry("web")});

  auto call = fetch(rig, kBundlesPath);

  REQUIRE(call->has_message());
  CHECK_FALSE(call->message().secret);
  auto reply = call->read<X509BundlesResponse>();
  REQUIRE(reply.bundles_size() == 1);
  CHECK(reply.bundles().at("spiffe://example.org") == rig.ca.bundle()->der());
}

TEST_CASE("a bundles stream gets every change of the bundle and of nothing else") {
  Rig rig({make_entry("web")});
  auto call = fetch(rig, kBundlesPath);
  call->read<X509BundlesResponse>();
  testing::TestCa next("example.org", rig.clock.now());

  rig.install("web");
  CHECK(call->sends() == 1);
  rig.store.set_bundle(rig.ca.bundle_with(next));

  CHECK(call->read<X509BundlesResponse>().bundles().at("spiffe://example.org") ==
        rig.ca.bundle_with(next)->der());
  CHECK(rig.store.state("web").streams == 0);
}

TEST_CASE("a bundles stream outlives the SVIDs") {
  Rig rig({make_entry("web")});
  rig.install("web", 1h);
  auto call = fetch(rig, kBundlesPath);
  call->read<X509BundlesResponse>();

  rig.clock.advance(61min);
  rig.store.drop_expired();

  CHECK_FALSE(call->status());
}

TEST_CASE("bundles are not waited for longer than SVIDs") {
  FakeClock clock;
  InlineWorkers workers;
  testing::ToldAttestor attestor;
  attestor.answer = make_entry("web").match;
  IdentityStore store(clock, EntrySet({make_entry("web")}));
  CallerIdentifier callers(clock, workers, {&attestor});
  Refusals refusals(clock, [next = 1U]() mutable { return next++; });
  ApiContext context{.clock = clock,
                     .store = store,
                     .callers = callers,
                     .refusals = refusals,
                     .workers = workers,
                     .jwt_svids = nullptr};
  TestCall call(workload_api_methods(context), kBundlesPath, kHeader);

  call.write_bytes("");
  clock.advance(9999ms);
  CHECK_FALSE(call.status());
  clock.advance(1ms);

  REQUIRE(call.code() == Code::kUnavailable);
  CHECK(call.status()->message == "no trust bundle yet: the CA did not answer within 10s");
}

TEST_CASE("who matches nothing has no identity only if every attestor has answered") {
  FakeClock clock;
  InlineWorkers workers;
  testing::ToldAttestor good;
  testing::ToldAttestor bad;
  good.answer = Selectors{{"unix", "uid:4711"}};
  IdentityStore store(clock, EntrySet({make_entry("web")}));
  CallerIdentifier callers(clock, workers, {&good, &bad});
  Refusals refusals(clock, [next = 1U]() mutable { return next++; });
  ApiContext context{.clock = clock,
                     .store = store,
                     .callers = callers,
                     .refusals = refusals,
                     .workers = workers,
                     .jwt_svids = nullptr};
  auto code = [&] {
    TestCall call(workload_api_methods(context), kSvidPath, kHeader);
    call.write_bytes("");
    return call.code();
  };

  bad.answer = fail(Code::kUnavailable, "kubelet: status 401");
  CHECK(code() == Code::kUnavailable);
  bad.answer = Selectors();
  CHECK(code() == Code::kPermissionDenied);
}

}  // namespace
}  // namespace nodepilot
