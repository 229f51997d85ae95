#include "agent/admin.h"

#include <doctest/doctest.h>

#include "proto/nodepilot/admin.pb.h"
#include "rotation/pki/bundle_document.h"
#include "test/agent/admin_rig.h"

namespace nodepilot {
namespace {

namespace pb = admin::v1;
using testing::TestCall;

pb::RotateRequest ask(const std::string& id, Duration wait = Duration(0)) {
  pb::RotateRequest request;
  request.add_spiffe_ids(id);
  request.set_wait_ms(wait.count());
  return request;
}

TEST_CASE("status tells every identity, asked for or not") {
  AdminRig rig(2);
  auto watcher = rig.watch(0);
  rig.ca.fail_with(Code::kUnavailable);

  auto status = rig.status();

  REQUIRE(status.identities_size() == 2);
  CHECK(status.identities(0).state() == pb::IdentityStatus::ACTIVE);
  CHECK(status.identities(0).serial() == watcher->serial());
  CHECK(status.identities(0).rotates_at() > status.now());
  CHECK(status.identities(1).state() == pb::IdentityStatus::IDLE);
  CHECK(status.roots_size() == 1);
  CHECK(status.connections() == 7);
  CHECK(status.state().sealed());
  CHECK(status.state().last_error() == "full");
  CHECK(status.ca().last_error().empty());
}

TEST_CASE("status tells why an identity is missing and how often it failed") {
  AdminRig rig(1);
  rig.ca.fail_with(Code::kUnavailable);
  auto watcher = rig.watch(0);

  auto status = rig.status();

  CHECK(status.identities(0).state() == pb::IdentityStatus::RETRYING);
  CHECK(status.identities(0).failures() == 1);
  CHECK_FALSE(status.identities(0).last_error().empty());
  CHECK(status.identities(0).last_error() == status.ca().last_error());
}

TEST_CASE("status tells how each federation fares") {
  AdminRig rig(0);
  rig.federations.push_back({.trust_domain = TrustDomain::parse("b.org").value(),
                             .url = "https://b.org/",
                             .has_bundle = true,
                             .sequence = 7,
                             .last_success = rig.clock.now(),
                             .last_error = Error{Code::kUnavailable, "down"},
                             .failures = 1,
                             .polls = 3,
                             .failed_polls = 2});

  auto status = rig.status();

  REQUIRE(status.federations_size() == 1);
  const auto& federation = status.federations(0);
  CHECK(federation.trust_domain() == "b.org");
  CHECK(federation.url() == "https://b.org/");
  CHECK(federation.has_bundle());
  CHECK(federation.sequence() == 7);
  CHECK(federation.last_success_at() == status.now());
  CHECK(federation.next_poll_at() == 0);
  CHECK(federation.failures() == 1);
  CHECK(federation.polls() == 3);
  CHECK(federation.failed_polls() == 2);
  CHECK(federation.last_error() == "down");
}

TEST_CASE("status tells what is in the files of each output") {
  AdminRig rig(0);
  rig.outputs.push_back({.directory = "/etc/web",
                         .spiffe_id = "spiffe://td/web",
                         .serial = "1f",
                         .written_at = rig.clock.now(),
                         .error = Error{Code::kInternal, "disk full"},
                         .hook_error = Error{Code::kNotFound, "no nginx"}});
  rig.outputs.push_back({.directory = "/etc/db",
                         .spiffe_id = "spiffe://td/db",
                         .serial = "",
                         .written_at = {},
                         .error = {},
                         .hook_error = {}});

  auto status = rig.status();

  REQUIRE(status.outputs_size() == 2);
  CHECK(status.outputs(0).directory() == "/etc/web");
  CHECK(status.outputs(0).spiffe_id() == "spiffe://td/web");
  CHECK(status.outputs(0).serial() == "1f");
  CHECK(status.outputs(0).written_at() == status.now());
  CHECK(status.outputs(0).last_error() == "disk full");
  CHECK(status.outputs(0).hook_error() == "no nginx");
  CHECK(status.outputs(1).written_at() == 0);
  CHECK(status.outputs(1).last_error().empty());
  CHECK(status.outputs(1).hook_error().empty());
}

TEST_CASE("a rotation answers with the old and the new serial") {
  AdminRig rig(1);
  auto watcher = rig.watch(0);
  std::string before = watcher->serial();
  auto call = rig.call("Rotate");

  call.write(ask("spiffe://td/0"));

  auto answer = call.read<pb::RotateResponse>();
  CHECK(call.code() == Code::kOk);
  REQUIRE(answer.rotations_size() == 1);
  CHECK(answer.rotations(0).old_serial() == before);
  CHECK(answer.rotations(0).new_serial() == watcher->serial());
  CHECK(before != watcher->serial());
}

TEST_CASE("a rotation that waits answers when the last stream took the new SVID") {
  AdminRig rig(1);
  auto watcher = rig.watch(0);
  watcher->subscription->sent("e0");
  auto call = rig.call("Rotate");

  call.write(ask("spiffe://td/0", seconds(10)));
  CHECK_FALSE(call.has_message());
  watcher->subscription->took("e0", watcher->serial());

  auto answer = call.read<pb::RotateResponse>();
  CHECK(answer.rotations(0).streams() == 1);
  CHECK(answer.rotations(0).streams_current() == 1);
}

TEST_CASE("a rotation that waits in vain answers when the time is over") {
  AdminRig rig(1);
  auto watcher = rig.watch(0);
  watcher->subscription->sent("e0");
  auto call = rig.call("Rotate");
  call.write(ask("spiffe://td/0", seconds(10)));

  rig.clock.advance(seconds(10));

  auto answer = call.read<pb::RotateResponse>();
  CHECK(answer.rotations(0).streams() == 1);
  CHECK(answer.rotations(0).streams_current() == 0);
}

TEST_CASE("a rotation whose CA does not answer in time is pending, not failed") {
  AdminRig rig(1);
  auto watcher = rig.watch(0);
  rig.workers.hold();
  auto call = rig.call("Rotate");
  call.write(ask("spiffe://td/0", seconds(10)));

  rig.clock.advance(seconds(10));

  auto answer = call.read<pb::RotateResponse>();
  CHECK(answer.rotations(0).pending());
  CHECK(answer.rotations(0).error().empty());
}

TEST_CASE("a rotation does not wait for a stream that has gone") {
  AdminRig rig(1);
  auto staying = rig.watch(0);
  auto leaving = rig.watch(0);
  leaving->subscription->sent("e0");
  auto call = rig.call("Rotate");
  call.write(ask("spiffe://td/0", seconds(10)));

  leaving->leave();

  CHECK(call.has_message());
}

TEST_CASE("a rotation that fails says why and keeps what is served") {
  AdminRig rig(1);
  auto watcher = rig.watch(0);
  std::string before = watcher->serial();
  rig.ca.fail_with(Code::kUnavailable);
  auto call = rig.call("Rotate");

  call.write(ask("spiffe://td/0"));

  auto answer = call.read<pb::RotateResponse>();
  CHECK_FALSE(answer.rotations(0).error().empty());
  CHECK(answer.rotations(0).new_serial().empty());
  CHECK(watcher->serial() == before);
}

TEST_CASE("all means every identity that is in use") {
  AdminRig rig(3);
  auto watchers = rig.watch_all(2);
  auto call = rig.call("Rotate");
  pb::RotateRequest request;
  request.set_all(true);

  call.write(request);

  CHECK(call.read<pb::RotateResponse>().rotations_size() == 2);
}

TEST_CASE("an identity that is unknown or not in use is refused by name") {
  AdminRig rig(1);
  for (std::string id : {"spiffe://td/0", "spiffe://td/other", "nonsense"}) {
    auto call = rig.call("Rotate");

    call.write(ask(id));

    CHECK(call.code() == Code::kNotFound);
    CHECK(call.status()->message.find(id) != std::string::npos);
  }
}

TEST_CASE("naming identities and asking for all, or neither, is refused") {
  AdminRig rig(1);
  auto both = ask("spiffe://td/0");
  both.set_all(true);
  for (const auto& request : {both, pb::RotateRequest()}) {
    auto call = rig.call("Rotate");

    call.write(request);

    CHECK(call.code() == Code::kInvalidArgument);
  }
}

TEST_CASE("a client that hangs up during a rotation harms nothing") {
  AdminRig rig(1);
  auto watcher = rig.watch(0);
  rig.workers.hold();
  auto call = rig.call("Rotate");
  call.write(ask("spiffe://td/0", seconds(10)));

  call.hang_up();
  rig.workers.release();
  rig.clock.advance(seconds(20));

  CHECK(watcher->updates.size() == 1);
}

TEST_CASE("bundles are told as SPIFFE documents, ours first") {
  AdminRig rig(1);
  auto partner = TrustDomain::parse("a.partner").value();
  rig.store.set_federated(
      partner, std::make_shared<const TrustBundle>(TrustBundle::foreign(partner, {}, {})));

  auto all = rig.call("GetBundles");
  all.write(pb::GetBundlesRequest());

  auto held = all.read<pb::GetBundlesResponse>();
  REQUIRE(held.bundles_size() == 2);
  CHECK(held.bundles(0).trust_domain() == "td");
  auto own = parse_bundle_document(TrustDomain::parse("td").value(), held.bundles(0).document());
  REQUIRE(own);
  CHECK(own->bundle == *rig.store.bundle());
  CHECK(held.bundles(1).trust_domain() == "a.partner");
}

TEST_CASE("one bundle can be asked for by name, and one that is not held is not found") {
  AdminRig rig(1);
  pb::GetBundlesRequest request;

  request.set_trust_domain("td");
  auto own = rig.call("GetBundles");
  own.write(request);
  request.set_trust_domain("other");
  auto other = rig.call("GetBundles");
  other.write(request);

  CHECK(own.read<pb::GetBundlesResponse>().bundles_size() == 1);
  CHECK(other.code() == Code::kNotFound);
  CHECK(other.status()->message.find("\"other\"") != std::string::npos);
}

TEST_CASE("bytes that are no request are refused") {
  AdminRig rig(1);
  for (const char* method : {"GetStatus", "Rotate", "GetBundles"}) {
    auto call = rig.call(method);

    call.write_bytes("\xff\xff\xff");

    CHECK(call.code() == Code::kInvalidArgument);
  }
}

TEST_CASE("who came in plaintext is told, with what was dropped and since when") {
  AdminRig rig(1);
  rig.clock.advance(std::chrono::seconds(5));
  rig.plaintext.note("web", {.port = 80, .ip = "10.0.0.9", .own_tls = true}, rig.clock.now());
  for (std::size_t i = 0; i <= rig.plaintext.most(); ++i) {
    rig.plaintext.note("pay", {.port = 90, .ip = std::to_string(i)}, rig.clock.now());
  }

  auto asked = rig.call("GetPlaintext");
  asked.write(pb::GetPlaintextRequest());
  auto told = asked.read<pb::GetPlaintextResponse>();

  CHECK(told.now() - told.since() == 5);
  CHECK(told.most_per_workload() == rig.plaintext.most());
  REQUIRE(told.sources_size() == static_cast<int>(rig.plaintext.most()) + 1);
  const auto& last = told.sources(told.sources_size() - 1);
  CHECK(last.workload() == "web");
  CHECK(last.port() == 80);
  CHECK(last.address() == "10.0.0.9");
  CHECK(last.own_tls());
  CHECK(last.times() == 1);
  CHECK(last.first_at() == told.now());
  CHECK(last.last_at() == told.now());
  CHECK(told.dropped().at("pay") == 1);
  CHECK(told.dropped().count("web") == 0);
}

TEST_CASE("an agent without a mesh says so rather than that nobody came") {
  AdminRig rig(1, /*mesh=*/false);
  auto asked = rig.call("GetPlaintext");

  asked.write(pb::GetPlaintextRequest());

  CHECK(asked.code() == Code::kFailedPrecondition);
}

}  // namespace
}  // namespace nodepilot
