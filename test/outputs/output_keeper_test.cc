#include "rotation/outputs/output_keeper.h"

#include <doctest/doctest.h>

#include "rotation/pki/issuer.h"
#include "test/outputs/fake_hooks.h"
#include "test/outputs/kit.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;

const TrustDomain kPartner = TrustDomain::parse("partner").value();

EntrySet with_partner() {
  Entry entry = make_entry(0);
  entry.federates_with = {kPartner};
  return EntrySet({entry});
}

// A rotator and store with one entry, and the output of it.
struct KeeperRig {
  KeeperRig() : rig(with_partner(), {}, [] { return 0.5; }) {
    output.entry_id = "e0";
    output.directory = home / "web";
    output.profile = OutputProfile::kTls;
    output.hooks = {{.action = ReloadHook{"web.service"}}};
  }

  expected<std::unique_ptr<OutputKeeper>> start() {
    return OutputKeeper::start({rig.clock, writers, hook_workers, hooks, rig.store}, output);
  }
  std::string written_serial() const {
    auto chain = Certificate::parse_pem(read_text(output.directory / "tls.crt"));
    return chain ? chain->front().serial() : "";
  }
  std::string held_serial() const { return rig.store.svid("e0")->leaf().serial(); }
  std::size_t roots() const {
    return Certificate::parse_pem(read_text(output.directory / "ca.crt")).value().size();
  }

  TemporaryDirectory home;
  Rig rig;
  InlineWorkers writers;
  InlineWorkers hook_workers;
  FakeHooks hooks;
  Output output;
};

TEST_CASE("an output has its identity issued and written, and renewed, with no stream open") {
  KeeperRig rig;
  CHECK_FALSE(rig.rig.store.svid("e0"));

  auto keeper = rig.start().value();
  std::string first = rig.written_serial();
  CHECK(first == rig.held_serial());
  CHECK(rig.hooks.runs.size() == 1);
  CHECK(rig.hooks.contexts.front().spiffe_id == "spiffe://td/0");
  CHECK(rig.hooks.contexts.front().directory == rig.output.directory);
  for (std::size_t i = 2; i < 12; ++i) {
    rig.rig.clock.advance(1h);
    CHECK(rig.hooks.runs.size() > i);
    CHECK(rig.written_serial() == rig.held_serial());
  }

  CHECK(rig.written_serial() != first);
  CHECK(sets_in(rig.output.directory).size() == 2);
}

TEST_CASE("status tells what is in the files") {
  KeeperRig rig;
  auto keeper = rig.start().value();

  OutputStatus status = keeper->status();

  CHECK(status.directory == rig.output.directory);
  CHECK(status.spiffe_id == "spiffe://td/0");
  CHECK(status.serial == rig.written_serial());
  CHECK(status.written_at == rig.rig.clock.now());
  CHECK_FALSE(status.error);
  CHECK_FALSE(status.hook_error);
}

TEST_CASE("the store hears that the files have the SVID, once they have") {
  KeeperRig rig;
  rig.writers.hold();
  auto keeper = rig.start().value();
  CHECK(rig.rig.store.state("e0").subscribers == 1);
  CHECK(rig.rig.store.state("e0").streams == 1);
  CHECK(rig.rig.store.state("e0").streams_current == 0);

  rig.writers.release();

  CHECK(rig.rig.store.state("e0").streams_current == 1);
  keeper.reset();
  CHECK(rig.rig.store.state("e0").subscribers == 0);
}

TEST_CASE("while a write is under way only the newest of what comes is written after it") {
  KeeperRig rig;
  rig.writers.hold();
  auto keeper = rig.start().value();
  for (int i = 0; i < 3; ++i) {
    rig.rig.rotate(0);
    CHECK(rig.writers.queued() == 1);
  }

  REQUIRE(rig.writers.run_one());
  CHECK(rig.writers.queued() == 1);
  CHECK(rig.written_serial() != rig.held_serial());
  rig.writers.release();

  CHECK(rig.written_serial() == rig.held_serial());
  CHECK(rig.hooks.runs.size() == 2);
}

TEST_CASE("a disk that fails leaves the files, and is tried again until it does not") {
  KeeperRig rig;
  auto keeper = rig.start().value();
  std::string first = rig.written_serial();
  fs::rename(rig.output.directory, rig.home / "away");
  std::ofstream(rig.output.directory) << "in the way";

  rig.rig.rotate(0);

  CHECK(keeper->status().serial == first);
  REQUIRE(keeper->status().error);
  CHECK(keeper->status().error->code == Code::kFailedPrecondition);
  CHECK(rig.rig.store.state("e0").streams_current == 0);
  CHECK(rig.hooks.runs.size() == 1);
  rig.rig.clock.advance(10s);
  CHECK(keeper->status().error);
  fs::remove(rig.output.directory);
  fs::rename(rig.home / "away", rig.output.directory);
  CHECK(rig.written_serial() == first);
  rig.rig.clock.advance(8s);

  CHECK_FALSE(keeper->status().error);
  CHECK(keeper->status().failed_writes > 1);
  CHECK(keeper->status().writes == keeper->status().failed_writes + 2);
  CHECK(rig.written_serial() == rig.held_serial());
  CHECK(rig.written_serial() != first);
  CHECK(rig.rig.store.state("e0").streams_current == 1);
  CHECK(rig.hooks.runs.size() == 2);
}

TEST_CASE("an SVID that ends with no other to follow stays in the files") {
  KeeperRig rig;
  auto keeper = rig.start().value();
  rig.rig.ca.fail_with(Code::kUnavailable);
  std::string last = rig.written_serial();

  rig.rig.clock.advance(3h);
  rig.rig.store.drop_expired();

  REQUIRE_FALSE(rig.rig.store.is_supplied("e0"));
  CHECK(rig.written_serial() == last);
  CHECK(rig.hooks.runs.size() == 1);

  rig.rig.ca.recover();
  rig.rig.clock.advance(10min);
  CHECK(rig.written_serial() == rig.held_serial());
  CHECK(rig.written_serial() != last);
}

TEST_CASE("a new root is written at once, a new JWT key is no change of the files") {
  KeeperRig rig;
  auto keeper = rig.start().value();
  std::size_t runs = rig.hooks.runs.size();
  auto bundle = rig.rig.store.bundle();
  auto key = PrivateKey::generate().value();
  Time now = rig.rig.clock.now();
  auto root = make_root(key, bundle->trust_domain(), {now, now + hours(1)}).value();
  auto both = TrustBundle::create(bundle->trust_domain(), {bundle->roots().front(), root}).value();

  rig.rig.store.set_bundle(std::make_shared<const TrustBundle>(both));

  CHECK(rig.roots() == 2);
  CHECK(rig.hooks.runs.size() == runs + 1);
  CHECK(rig.written_serial() == rig.held_serial());
}

TEST_CASE("new roots are everywhere only when the programs that read them were told") {
  KeeperRig rig;
  auto keeper = rig.start().value();
  auto bundle = rig.rig.store.bundle();
  auto key = PrivateKey::generate().value();
  Time now = rig.rig.clock.now();
  auto root = make_root(key, bundle->trust_domain(), {now, now + hours(1)}).value();
  auto both = TrustBundle::create(bundle->trust_domain(), {bundle->roots().front(), root}).value();
  SUBCASE("a hook that still runs keeps them back") { rig.hook_workers.hold(); }
  SUBCASE("so does one that fails") { rig.hooks.failures["reload web.service"] = 1; }
  SUBCASE("so does a write that is under way") { rig.writers.hold(); }

  rig.rig.store.set_bundle(std::make_shared<const TrustBundle>(both));
  CHECK(rig.rig.store.common_bundle() != rig.rig.store.bundle());
  rig.writers.release();
  rig.hook_workers.release();
  rig.rig.clock.advance(1s);

  CHECK(rig.rig.store.common_bundle() == rig.rig.store.bundle());
}

TEST_CASE("federated roots are written if they are asked for") {
  for (bool federated : {false, true}) {
    KeeperRig rig;
    rig.output.federated = federated;
    auto keeper = rig.start().value();
    auto key = PrivateKey::generate().value();
    Time now = rig.rig.clock.now();
    auto root = make_root(key, kPartner, {now, now + hours(1)}).value();

    rig.rig.store.set_federated(kPartner, std::make_shared<const TrustBundle>(
                                              TrustBundle::create(kPartner, {root}).value()));

    CHECK(rig.roots() == (federated ? 2 : 1));
    CHECK(rig.hooks.runs.size() == (federated ? 2 : 1));
  }
}

TEST_CASE("a failing hook shows in status and keeps nothing from being written") {
  KeeperRig rig;
  rig.hooks.failures["reload web.service"] = 1000;
  auto keeper = rig.start().value();
  REQUIRE(keeper->status().hook_error);
  CHECK(keeper->status().hook_error->message == "reload web.service: told to fail");

  rig.rig.rotate(0);

  CHECK(rig.written_serial() == rig.held_serial());
  CHECK_FALSE(keeper->status().error);
}

TEST_CASE("a hook that hangs does not keep the next set from being written") {
  KeeperRig rig;
  rig.hook_workers.hold();
  auto keeper = rig.start().value();

  rig.rig.rotate(0);
  rig.rig.rotate(0);

  CHECK(rig.written_serial() == rig.held_serial());
  CHECK(rig.hook_workers.queued() == 1);
  rig.hook_workers.release();
  CHECK(rig.hooks.runs.size() == 2);
}

TEST_CASE("a write that is done after the keeper has ended touches nothing") {
  KeeperRig rig;
  rig.writers.hold();
  auto keeper = rig.start().value();
  keeper.reset();

  rig.writers.release();

  CHECK(rig.written_serial() == rig.held_serial());
  CHECK(rig.hooks.runs.empty());
}

TEST_CASE("a refused directory or owner is told at the start, with the directory's name") {
  KeeperRig rig;
  SUBCASE("directory") {
    fs::create_directory(rig.output.directory);
    fs::permissions(rig.output.directory, fs::perms(0777));
  }
  SUBCASE("user") { rig.output.owner.user = "no-such-user-here"; }
  SUBCASE("group") { rig.output.owner.group = "no-such-group-here"; }

  auto refused = rig.start();

  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::kFailedPrecondition);
  CHECK(refused.error().message.starts_with("output " + rig.output.directory.string() + ": "));
  CHECK_FALSE(rig.rig.store.is_wanted("e0"));
}

TEST_CASE("a directory that cannot be made yet does not keep the agent from starting") {
  KeeperRig rig;
  rig.output.directory = rig.home / "later/web";
  auto keeper = rig.start().value();
  REQUIRE(keeper->status().error);
  CHECK(keeper->status().error->code == Code::kNotFound);

  fs::create_directory(rig.home / "later");
  rig.rig.clock.advance(1s);

  CHECK_FALSE(keeper->status().error);
  CHECK(rig.written_serial() == rig.held_serial());
}

}  // namespace
}  // namespace nodepilot
