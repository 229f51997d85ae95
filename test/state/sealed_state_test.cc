#include "rotation/state/sealed_state.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "test/state/rig.h"

namespace nodepilot {
namespace {

namespace fs = std::filesystem;

const std::string kBundle(kBundleFile);

std::set<std::string> files_in(const fs::path& directory) {
  std::set<std::string> names;
  for (const auto& file : fs::directory_iterator(directory)) {
    names.insert(file.path().filename().string());
  }
  return names;
}

TEST_CASE("what was served is served again after a restart, without the CA") {
  Node node;
  node.live_once(3);
  node.ca.fail_with(Code::kUnavailable);
  std::size_t signs = node.ca.signs();

  auto life = node.live(3);
  life->start();
  auto watcher = life->watch(1);

  CHECK(watcher->now().settled);
  CHECK(watcher->serial() == node.serials[1]);
  CHECK(watcher->now().bundle->roots() == std::vector{node.ca.root()});
  CHECK(life->serial(0) == node.serials[0]);
  CHECK(node.ca.signs() == signs);
  CHECK_FALSE(life->state->failure());
}

TEST_CASE("a restart alone issues nothing and writes nothing") {
  Node node;
  node.live_once(3);
  std::size_t signs = node.ca.signs();

  auto life = node.live(3);
  life->start();
  auto first = life->watch(0);
  auto second = life->watch(1);
  node.clock.advance(minutes(1));

  CHECK(node.ca.signs() == signs);
  CHECK(life->files.writes() == 0);
}

TEST_CASE("who does not lead writes nothing; who leads again writes what it holds") {
  Node node;
  auto life = node.live(1);
  life->start();
  auto watcher = life->watch(0);
  std::size_t writes = life->files.writes();
  std::string first = life->serial(0);

  life->state->lead(false);
  CHECK(StateDirectory::open(node.directory));  // for another to use
  node.clock.advance(minutes(40));
  CHECK(life->serial(0) != first);
  CHECK(life->files.writes() == writes);

  life->state->lead(true);
  CHECK(life->files.writes() == writes + 2);  // the bundle, and the SVID
  CHECK_FALSE(life->state->failure());
}

TEST_CASE("an SVID is renewed when it would have been without the restart") {
  Node node;
  Time issued = node.clock.now();
  node.live_once(1);
  node.clock.advance(minutes(20));

  auto life = node.live();
  life->start();
  auto watcher = life->watch(0);

  CHECK(life->rotator.next_renewal("e0") == issued + minutes(30));
  node.clock.advance(minutes(11));
  CHECK(life->serial(0) != node.serials[0]);
}

TEST_CASE("the instant does not move from restart to restart") {
  Node node;
  Time issued = node.clock.now();
  node.live_once(1);

  for (int i = 0; i < 5; ++i) {
    node.clock.advance(minutes(5));
    auto life = node.live();
    life->start();
    auto watcher = life->watch(0);
    CHECK(life->rotator.next_renewal("e0") == issued + minutes(30));
  }
}

TEST_CASE("an SVID that became due while the agent was away is renewed at the first demand") {
  Node node;
  node.live_once(1);
  node.clock.advance(minutes(40));

  auto life = node.live();
  life->start();
  node.clock.advance(seconds(1));
  CHECK(life->serial(0) == node.serials[0]);
  auto watcher = life->watch(0);

  CHECK(life->serial(0) != node.serials[0]);
  CHECK(watcher->now().settled);
}

TEST_CASE("an SVID that nobody asks for is kept to its end, not renewed, and then deleted") {
  Node node;
  node.live_once(1);
  std::size_t signs = node.ca.signs();

  auto life = node.live();
  life->start();
  node.clock.advance(minutes(59));
  CHECK(life->serial(0) == node.serials[0]);
  CHECK(fs::exists(node.file_of(0)));
  node.clock.advance(minutes(2));

  CHECK(life->serial(0).empty());
  CHECK_FALSE(fs::exists(node.file_of(0)));
  CHECK(node.ca.signs() == signs);
}

EntrySet users(const std::string& path = "/user/{unix:user}") {
  Entry rule = make_entry(0);
  rule.id = "users";
  rule.match = {};
  rule.match_any = {{"unix", "user"}};
  rule.spiffe_id = *SpiffeId::parse("spiffe://td");
  rule.id_template = *IdTemplate::parse(*TrustDomain::parse("td"), path);
  return EntrySet({rule});
}

const Selectors kAnn{{"unix", "user:ann"}};

std::string live_once_as_ann(Node& node) {
  auto life = node.live(users());
  life->start();
  return Watcher(life->store, kAnn).serial();
}

TEST_CASE("what a template gave is served again after a restart") {
  Node node;
  std::string serial = live_once_as_ann(node);
  REQUIRE_FALSE(serial.empty());
  node.ca.fail_with(Code::kUnavailable);

  auto life = node.live(users());
  life->start();
  Watcher ann(life->store, kAnn);

  CHECK(ann.serial() == serial);
  CHECK(node.ca.signs() == 1);
}

TEST_CASE("what a template gave and nobody asks for again is forgotten after its end") {
  Node node;
  live_once_as_ann(node);

  auto life = node.live(users());
  life->start();
  REQUIRE(life->store.identities().size() == 1);
  EntryPtr entry = life->store.identities()[0];
  CHECK(fs::exists(node.directory / svid_file(entry->id)));
  node.clock.advance(minutes(63));

  CHECK(life->store.identities().empty());
  CHECK_FALSE(fs::exists(node.directory / svid_file(entry->id)));
}

TEST_CASE("a template that has changed does not serve what the earlier one gave") {
  Node node;
  live_once_as_ann(node);

  auto life = node.live(users("/people/{unix:user}"));
  life->start();

  CHECK(life->store.identities().empty());
}

TEST_CASE("an identity that nobody wants any more leaves nothing on the disk") {
  Node node;
  auto life = node.live();
  life->start();
  auto watcher = life->watch(0);
  CHECK(fs::exists(node.file_of(0)));

  watcher->leave();
  node.clock.advance(minutes(2));

  CHECK_FALSE(fs::exists(node.file_of(0)));
  CHECK(fs::exists(node.directory / kBundle));
}

TEST_CASE("a rotation is on the disk at once") {
  Node node;
  auto life = node.live();
  life->start();
  auto watcher = life->watch(0);
  life->rotator.rotate("e0", [](const RotationOutcome&) {});
  std::string serial = life->serial(0);
  watcher.reset();
  life.reset();

  life = node.live();
  life->start();

  CHECK(life->serial(0) == serial);
}

TEST_CASE("acknowledgements of streams cost no write") {
  Node node;
  auto life = node.live();
  life->start();
  auto watcher = life->watch(0);
  std::size_t writes = life->files.writes();

  for (int i = 0; i < 100; ++i) watcher->subscription->took("e0", watcher->serial());

  CHECK(life->files.writes() == writes);
}

TEST_CASE("of many changes while a write is under way only the newest is written") {
  Node node;
  auto life = node.live();
  life->start();
  auto watcher = life->watch(0);
  std::size_t writes = life->files.writes();
  life->disk_workers.hold();

  for (int i = 0; i < 5; ++i) life->rotator.rotate("e0", [](const RotationOutcome&) {});
  CHECK(life->disk_workers.queued() == 1);
  life->disk_workers.release();

  CHECK(life->files.writes() == writes + 2);
  std::string serial = life->serial(0);
  watcher.reset();
  life.reset();
  life = node.live();
  life->start();
  CHECK(life->serial(0) == serial);
}

TEST_CASE("new roots are on the disk before the SVID that needs them") {
  Node node;
  auto life = node.live(2);
  life->start();
  auto first = life->watch(0);
  life->disk_workers.hold();
  auto second = life->watch(1);
  node.ca.change_root();
  life->rotator.rotate("e0", [](const RotationOutcome&) {});

  // The write under way, then the bundle; the power fails before e0's new SVID is written.
  life->disk_workers.run_one();
  life->disk_workers.run_one();
  first.reset();
  second.reset();
  life.reset();
  life = node.live(2);
  life->start();

  CHECK(life->store.bundle()->roots().size() == 2);
  CHECK_FALSE(life->serial(0).empty());
}

TEST_CASE("an SVID of an entry that is gone or asks for other names is deleted") {
  Node node;
  node.live_once(3);
  std::vector<Entry> entries{make_entry(1), make_entry(2)};
  entries[1].dns_names = {"new.example"};

  auto life = node.live(EntrySet(std::move(entries)));
  life->start();

  CHECK(life->serial(1) == node.serials[1]);
  CHECK(life->serial(2).empty());
  CHECK(files_in(node.directory) ==
        std::set<std::string>{kBundle, node.file_of(1).filename().string()});
}

TEST_CASE("an SVID that has ended is deleted") {
  Node node;
  node.live_once(1);
  node.clock.advance(hours(2));

  auto life = node.live();
  life->start();

  CHECK(life->serial(0).empty());
  CHECK_FALSE(fs::exists(node.file_of(0)));
}

TEST_CASE("state of another trust domain is not used") {
  Node node;
  node.live_once(1);
  Life life(node.clock, node.ca, node.directory, make_entries(1));

  REQUIRE(life.state->restore(TrustDomain::parse("other").value()));

  CHECK_FALSE(life.store.bundle());
  CHECK(life.serial(0).empty());
}

TEST_CASE("an SVID of a root that the bundle lacks is not served") {
  Node node;
  node.live_once(1);
  Node stranger;
  stranger.live_once(1);
  fs::copy_file(stranger.file_of(0), node.file_of(0), fs::copy_options::overwrite_existing);

  auto life = node.live();
  life->start();

  CHECK(life->serial(0).empty());
  CHECK_FALSE(fs::exists(node.file_of(0)));
}

TEST_CASE("without the bundle the SVIDs wait until the CA tells its roots") {
  Node node;
  node.live_once(1);
  fs::remove(node.directory / kBundle);
  node.ca.fail_with(Code::kUnavailable);
  std::size_t signs = node.ca.signs();

  auto life = node.live();
  life->start();
  CHECK(life->serial(0).empty());
  CHECK(fs::exists(node.file_of(0)));
  node.ca.recover();
  node.clock.advance(minutes(1));

  CHECK(life->serial(0) == node.serials[0]);
  CHECK(node.ca.signs() == signs);
  CHECK(fs::exists(node.directory / kBundle));
}

TEST_CASE("with a clock that was never set the SVIDs wait until it is") {
  Node node;
  node.live_once(1);
  Time now = node.clock.now();
  node.clock.jump(Time(hours(1)));

  auto life = node.live();
  life->start();
  auto watcher = life->watch(0);
  CHECK(watcher->now().svids.empty());
  node.ca.fail_with(Code::kUnavailable);
  node.clock.jump(now + minutes(1));

  CHECK(watcher->serial() == node.serials[0]);
  CHECK(life->rotator.next_renewal("e0") == now + minutes(30));
}

TEST_CASE("another key stops the start and touches nothing") {
  Node node;
  node.live_once(2);
  auto before = files_in(node.directory);
  Life life(node.clock, node.ca, node.directory, make_entries(2), state_key(9));

  auto restored = life.state->restore(TrustDomain::parse("td").value());

  REQUIRE_FALSE(restored);
  CHECK(restored.error().code == Code::kFailedPrecondition);
  CHECK(restored.error().message.find("sealed under another key") != std::string::npos);
  CHECK(files_in(node.directory) == before);
}

TEST_CASE("one file of another key beside those of ours is set aside") {
  Node node;
  node.live_once(2);
  std::string bytes = seal_file(state_key(9), svid_file("e0"), SecretBytes{1}).value();
  node.folder.write("sealed/" + svid_file("e0"), bytes);

  auto life = node.live(2);
  life->start();

  CHECK(life->serial(0).empty());
  CHECK(life->serial(1) == node.serials[1]);
  CHECK(fs::exists(node.file_of(0).string() + ".bad"));
}

TEST_CASE("files swapped for one another are set aside") {
  Node node;
  node.live_once(2);
  fs::rename(node.file_of(0), node.folder / "x");
  fs::rename(node.file_of(1), node.file_of(0));
  fs::rename(node.folder / "x", node.file_of(1));

  auto life = node.live(2);
  life->start();

  CHECK(life->serial(0).empty());
  CHECK(life->serial(1).empty());
  CHECK(fs::exists(node.file_of(0).string() + ".bad"));
}

TEST_CASE("no file holds a key that can be found without the node's") {
  Node node;
  auto life = node.live();
  life->start();
  auto watcher = life->watch(0);
  SecretBytes der = life->store.svid("e0")->key().pkcs8_der();
  SecretBytes scalar(der.begin() + 36, der.begin() + 68);

  SecretBytes bytes = life->files.read(svid_file("e0")).value();

  CHECK(std::search(bytes.begin(), bytes.end(), scalar.begin(), scalar.end()) == bytes.end());
  CHECK(decode_svid(open_file(state_key(), svid_file("e0"),
                              {reinterpret_cast<const char*>(bytes.data()), bytes.size()})
                        .value())
            .value()
            .key.pkcs8_der() == der);
}

TEST_CASE("one that was issued meanwhile is not replaced by the stored one") {
  Node node;
  node.live_once(1);
  fs::remove(node.directory / kBundle);
  auto life = node.live();
  REQUIRE(life->state->restore(TrustDomain::parse("td").value()));
  auto watcher = life->watch(0);

  life->rotator.start();

  CHECK(watcher->now().settled);
  CHECK(life->serial(0) == watcher->serial());
  std::string serial = life->serial(0);
  watcher.reset();
  life.reset();
  life = node.live();
  life->start();
  CHECK(life->serial(0) == serial);
}

TEST_CASE("a write that comes back after the end is harmless") {
  Node node;
  auto life = node.live();
  life->disk_workers.hold();
  life->start();
  REQUIRE(life->disk_workers.queued() == 1);

  life->state.reset();
  life->disk_workers.release();

  CHECK(fs::exists(node.directory / kBundle));
}

}  // namespace
}  // namespace nodepilot
