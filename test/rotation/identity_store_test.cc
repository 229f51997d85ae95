#include "rotation/identity_store.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>

#include "rotation/pki/issuer.h"
#include "test/rotation/rig.h"

namespace nodepilot {
namespace {

// Writes down what the store asks for, and supplies nothing.
class RecordedDemand : public Demand {
 public:
  void wanted(const EntryPtr& entry) override { calls.push_back("+" + entry->id); }
  void unwanted(const EntryPtr& entry) override { calls.push_back("-" + entry->id); }

  std::vector<std::string> calls;
};
using Calls = std::vector<std::string>;

const TrustDomain kPartner = TrustDomain::parse("partner").value();
const TrustDomain kStranger = TrustDomain::parse("stranger").value();
constexpr int kFederated = 3;  // the entry that federates with kPartner

EntrySet with_federated(int number) {
  std::vector<Entry> entries;
  for (int n = 0; n <= number; ++n) entries.push_back(make_entry(n));
  entries.back().federates_with = {kPartner};
  return EntrySet(std::move(entries));
}

// With a root of its own at each call.
BundlePtr foreign_bundle(const TrustDomain& trust_domain) {
  auto key = PrivateKey::generate().value();
  Time now = FakeClock().now();
  auto root = make_root(key, trust_domain, {now, now + hours(1)}).value();
  return std::make_shared<const TrustBundle>(TrustBundle::create(trust_domain, {root}).value());
}

// A store of three entries and one that federates, with a CA to fill it by hand.
struct StoreRig {
  StoreRig() : store(clock, with_federated(3)) { store.set_demand(&demand); }

  SvidPtr make_svid(int number, Duration life = hours(1)) {
    Entry entry = make_entry(number);
    entry.ttl = std::chrono::duration_cast<seconds>(life);
    return std::make_shared<const X509Svid>(
        issue(ca, entry, ca.bundle().value(), clock).value().svid);
  }
  void supply(int number) {
    REQUIRE(store.install("e" + std::to_string(number), make_svid(number)));
  }
  void set_bundle() { store.set_bundle(std::make_shared<const TrustBundle>(ca.bundle().value())); }

  FakeClock clock;
  FakeCa ca{clock};
  RecordedDemand demand;
  IdentityStore store;
};

const Selectors kZeroAndOne{Watcher::selector(0), Watcher::selector(1)};

TEST_CASE("a caller whom no entry matches sees an empty update") {
  StoreRig rig;
  rig.set_bundle();

  Watcher nobody(rig.store, 9);
  rig.supply(0);

  CHECK_FALSE(nobody.now().entitled);
  CHECK_FALSE(nobody.now().settled);
  CHECK(nobody.now().svids.empty());
  CHECK(nobody.now().bundle == nullptr);
  CHECK(nobody.updates.empty());
}

TEST_CASE("a subscriber of given entries sees these alone, whatever their selectors") {
  StoreRig rig;
  rig.set_bundle();
  std::vector<UpdatePtr> updates;

  auto subscription =
      rig.store.subscribe_to({rig.store.entries().find("e1")},
                             [&](const UpdatePtr& update) { updates.push_back(update); });
  rig.supply(0);
  rig.supply(1);

  CHECK(rig.demand.calls == Calls{"+e1"});
  REQUIRE(updates.size() == 1);
  REQUIRE(updates[0]->svids.size() == 1);
  CHECK(updates[0]->svids[0].entry->id == "e1");
  CHECK(subscription->latest() == updates[0]);
}

TEST_CASE("the first subscriber makes an entry wanted and the last one unwanted") {
  StoreRig rig;

  Watcher first(rig.store, 0);
  rig.supply(0);
  Watcher second(rig.store, 0);
  first.leave();
  CHECK(rig.demand.calls == Calls{"+e0"});
  CHECK(rig.store.is_wanted("e0"));
  second.leave();

  CHECK(rig.demand.calls == Calls{"+e0", "-e0"});
  CHECK_FALSE(rig.store.is_wanted("e0"));
}

TEST_CASE("a further subscriber asks again while nothing valid is held") {
  StoreRig rig;

  Watcher first(rig.store, 0);
  Watcher second(rig.store, 0);

  CHECK(rig.demand.calls == Calls{"+e0", "+e0"});
}

TEST_CASE("what is held is seen on subscribing, without a callback") {
  StoreRig rig;
  rig.set_bundle();
  rig.supply(0);

  Watcher watcher(rig.store, 0);

  CHECK(watcher.now().entitled);
  CHECK(watcher.now().settled);
  CHECK(watcher.now().bundle == rig.store.bundle());
  CHECK(watcher.serial() == rig.store.svid("e0")->leaf().serial());
  CHECK(watcher.updates.empty());
}

TEST_CASE("an update names every entry that matches, issued or not") {
  StoreRig rig;

  Watcher watcher(rig.store, 0);

  CHECK(watcher.now().svids.empty());
  CHECK(watcher.now().entries == std::vector<EntryPtr>{rig.store.entries().find("e0")});
}

TEST_CASE("each change gives each subscriber it touches exactly one update") {
  StoreRig rig;
  rig.set_bundle();
  Watcher zero(rig.store, 0);
  Watcher one(rig.store, 1);
  Watcher both(rig.store, kZeroAndOne);

  rig.supply(0);

  CHECK(zero.updates.size() == 1);
  CHECK(one.updates.empty());
  REQUIRE(both.updates.size() == 1);
  CHECK(both.updates.front() == both.subscription->latest());
  CHECK(both.now().svids.size() == 1);
}

TEST_CASE("subscribers with equal rights share one update") {
  StoreRig rig;
  Watcher first(rig.store, 0);
  Watcher second(rig.store, 0);

  rig.supply(0);

  CHECK(first.subscription->latest() == second.subscription->latest());
}

TEST_CASE("updates of equal content are not repeated") {
  StoreRig rig;
  rig.set_bundle();
  Watcher watcher(rig.store, 0);
  Error error{Code::kUnavailable, "down"};

  rig.store.report_failure("e0", error);
  rig.store.report_failure("e0", error);
  rig.set_bundle();

  CHECK(watcher.updates.size() == 1);
}

TEST_CASE("SVIDs come in entry order, whatever order they were issued in") {
  StoreRig rig;
  Watcher both(rig.store, kZeroAndOne);

  rig.supply(1);
  rig.supply(0);

  REQUIRE(both.now().svids.size() == 2);
  CHECK(both.now().svids[0].entry->id == "e0");
  CHECK(both.now().svids[1].entry->id == "e1");
}

TEST_CASE("an update settles when the bundle is known and every entry has an SVID or has failed") {
  StoreRig rig;
  Watcher both(rig.store, kZeroAndOne);

  rig.supply(0);
  CHECK_FALSE(both.now().settled);
  rig.store.report_failure("e1", {Code::kUnavailable, "down"});
  CHECK_FALSE(both.now().settled);
  CHECK_FALSE(both.now().missing);
  rig.set_bundle();

  CHECK(both.now().settled);
  REQUIRE(both.now().missing);
  CHECK(both.now().missing->message == "down");
  CHECK(both.now().svids.size() == 1);
}

TEST_CASE("an SVID after a failure leaves nothing missing") {
  StoreRig rig;
  rig.set_bundle();
  Watcher watcher(rig.store, 0);
  rig.store.report_failure("e0", {Code::kUnavailable, "down"});

  rig.supply(0);

  CHECK(watcher.now().settled);
  CHECK_FALSE(watcher.now().missing);
  CHECK_FALSE(rig.store.state("e0").failure);
}

TEST_CASE("a failure from before an entry was wanted does not settle the next caller") {
  StoreRig rig;
  rig.set_bundle();
  Watcher early(rig.store, 0);
  rig.store.report_failure("e0", {Code::kUnavailable, "down"});
  early.leave();

  Watcher late(rig.store, 0);

  CHECK_FALSE(late.now().settled);
  CHECK_FALSE(late.now().missing);
  CHECK(rig.store.state("e0").failure);
}

TEST_CASE("a failed renewal is no news to those who hold a valid SVID") {
  StoreRig rig;
  rig.set_bundle();
  rig.supply(0);
  Watcher watcher(rig.store, 0);

  rig.store.report_failure("e0", {Code::kUnavailable, "down"});

  CHECK(watcher.updates.empty());
  CHECK(watcher.now().svids.size() == 1);
  CHECK(rig.store.state("e0").failure->message == "down");
}

TEST_CASE("an expired SVID is dropped and its watchers are told") {
  StoreRig rig;
  rig.set_bundle();
  Watcher watcher(rig.store, 0);
  rig.supply(0);
  Time end = rig.store.svid("e0")->validity().not_after;

  rig.clock.jump(end);
  rig.store.drop_expired();
  CHECK(watcher.updates.size() == 1);
  CHECK(rig.store.next_expiry() == end + milliseconds(1));
  rig.clock.jump(end + milliseconds(1));
  rig.store.drop_expired();

  CHECK(watcher.updates.size() == 2);
  CHECK(watcher.now().svids.empty());
  CHECK_FALSE(watcher.now().settled);
  CHECK(rig.store.svid("e0") == nullptr);
  CHECK_FALSE(rig.store.next_expiry());
}

TEST_CASE("a new caller never gets an expired SVID, even before it is dropped") {
  StoreRig rig;
  rig.set_bundle();
  rig.supply(0);

  rig.clock.jump(rig.clock.now() + hours(2));
  Watcher watcher(rig.store, 0);

  CHECK(watcher.now().svids.empty());
  CHECK_FALSE(rig.store.is_supplied("e0"));
}

TEST_CASE("an SVID whose life has not begun is withheld, but a small step back is forgiven") {
  StoreRig rig;
  rig.supply(0);
  Time issued = rig.clock.now();

  rig.clock.jump(issued - seconds(2));
  Watcher small(rig.store, 0);
  rig.clock.jump(issued - hours(24));
  Watcher large(rig.store, 0);

  CHECK(small.now().svids.size() == 1);
  CHECK(large.now().svids.empty());
}

TEST_CASE("an expired SVID is not installed") {
  StoreRig rig;
  Watcher watcher(rig.store, 0);
  SvidPtr old = rig.make_svid(0, minutes(1));

  rig.clock.jump(rig.clock.now() + hours(1));
  auto installed = rig.store.install("e0", old);

  REQUIRE_FALSE(installed);
  CHECK(installed.error().code == Code::kFailedPrecondition);
  CHECK(watcher.updates.empty());
}

TEST_CASE("a worn SVID does not replace one that lasts longer") {
  StoreRig rig;
  SvidPtr worn = rig.make_svid(0, hours(1));
  rig.clock.jump(rig.clock.now() + minutes(31));
  rig.supply(0);
  SvidPtr held = rig.store.svid("e0");

  CHECK_FALSE(rig.store.install("e0", worn));
  CHECK(rig.store.svid("e0") == held);
}

TEST_CASE("a fresh SVID may be shorter than the one it replaces") {
  StoreRig rig;
  rig.supply(0);
  SvidPtr brief = rig.make_svid(0, minutes(5));

  CHECK(rig.store.install("e0", brief));

  CHECK(rig.store.svid("e0") == brief);
  CHECK(rig.store.next_expiry() == brief->validity().not_after + milliseconds(1));
}

TEST_CASE("an unknown entry holds nothing") {
  StoreRig rig;

  CHECK_FALSE(rig.store.install("e9", rig.make_svid(0)));
  rig.store.report_failure("e9", {});
  rig.store.evict("e9");

  CHECK(rig.store.svid("e9") == nullptr);
  CHECK_FALSE(rig.store.is_wanted("e9"));
  CHECK(rig.store.state("e9").entry == nullptr);
}

TEST_CASE("only what nobody watches is evicted") {
  StoreRig rig;
  rig.supply(0);
  rig.supply(1);
  Watcher watcher(rig.store, 0);

  rig.store.evict("e0");
  rig.store.evict("e1");

  CHECK(rig.store.svid("e0"));
  CHECK(rig.store.svid("e1") == nullptr);
}

TEST_CASE("a new bundle reaches every entitled subscriber") {
  StoreRig rig;
  rig.set_bundle();
  Watcher zero(rig.store, 0);
  Watcher one(rig.store, 1);
  Watcher nobody(rig.store, 9);

  rig.ca.change_root();
  rig.set_bundle();

  CHECK(zero.updates.size() == 1);
  CHECK(one.updates.size() == 1);
  CHECK(nobody.updates.empty());
  CHECK(zero.now().bundle->roots().front() == rig.ca.root());
}

TEST_CASE("a caller sees the bundles that its entries federate with, and no others") {
  StoreRig rig;
  rig.set_bundle();
  rig.store.set_federated(kPartner, foreign_bundle(kPartner));
  rig.store.set_federated(kStranger, foreign_bundle(kStranger));

  Watcher federated(rig.store, kFederated);
  Watcher other(rig.store, 0);

  REQUIRE(federated.now().federated.size() == 1);
  CHECK(federated.now().federated.begin()->first == kPartner);
  CHECK(other.now().federated.empty());
}

TEST_CASE("a federated bundle that comes, changes or goes is news for those who federate") {
  StoreRig rig;
  rig.set_bundle();
  Watcher federated(rig.store, kFederated);
  Watcher other(rig.store, 0);
  BundlePtr first = foreign_bundle(kPartner);

  rig.store.set_federated(kPartner, first);
  rig.store.set_federated(kPartner, std::make_shared<const TrustBundle>(*first));
  CHECK(federated.updates.size() == 1);
  rig.store.set_federated(kPartner, foreign_bundle(kPartner));
  CHECK(federated.updates.size() == 2);
  rig.store.set_federated(kPartner, nullptr);
  rig.store.set_federated(kPartner, nullptr);

  CHECK(federated.updates.size() == 3);
  CHECK(federated.now().federated.empty());
  CHECK(other.updates.empty());
}

TEST_CASE("who watches bundles only demands no SVID") {
  StoreRig rig;

  Watcher verifier(rig.store, 0, Interest::kBundles);
  rig.set_bundle();
  CHECK(verifier.now().entitled);
  CHECK(verifier.now().bundle != nullptr);
  CHECK_FALSE(rig.store.is_wanted("e0"));
  verifier.leave();

  CHECK(rig.demand.calls.empty());
}

TEST_CASE("a subscriber may leave inside its own update") {
  StoreRig rig;
  std::unique_ptr<Subscription> self;
  int calls = 0;
  self = rig.store.subscribe({Watcher::selector(0)}, [&](const UpdatePtr& update) {
    self.reset();
    calls += update->entitled ? 1 : 0;
  });

  rig.supply(0);
  rig.supply(0);

  CHECK(calls == 1);
  CHECK_FALSE(rig.store.is_wanted("e0"));
}

TEST_CASE("a subscriber may end all others inside its update") {
  StoreRig rig;
  std::array<std::unique_ptr<Subscription>, 3> all;
  int calls = 0;
  for (auto& subscription : all) {
    subscription = rig.store.subscribe({Watcher::selector(0)}, [&](const UpdatePtr&) {
      ++calls;
      for (auto& other : all) other.reset();
    });
  }

  rig.supply(0);

  CHECK(calls == 1);
  CHECK_FALSE(rig.store.is_wanted("e0"));
}

TEST_CASE("a change inside an update reaches the others once, as the newest") {
  StoreRig rig;
  SvidPtr second = rig.make_svid(0);
  std::array<std::unique_ptr<Subscription>, 3> all;
  std::vector<SvidPtr> heard;
  for (auto& subscription : all) {
    subscription = rig.store.subscribe({Watcher::selector(0)}, [&](const UpdatePtr& update) {
      heard.push_back(update->svids.front().svid);
      if (heard.size() == 1) CHECK(rig.store.install("e0", second));
    });
  }

  rig.supply(0);

  REQUIRE(heard.size() == 4);
  CHECK(heard[0] != second);
  CHECK(std::count(heard.begin() + 1, heard.end(), second) == 3);
  for (const auto& subscription : all) CHECK(subscription->latest()->svids[0].svid == second);
}

TEST_CASE("a subscriber may subscribe others inside its update") {
  StoreRig rig;
  std::vector<std::unique_ptr<Watcher>> more;
  auto host = rig.store.subscribe({Watcher::selector(0)}, [&](const UpdatePtr&) {
    more.push_back(std::make_unique<Watcher>(rig.store, 0));
  });

  rig.supply(0);

  REQUIRE(more.size() == 1);
  CHECK(more.front()->now().svids.size() == 1);
  CHECK(more.front()->updates.empty());
}

TEST_CASE("streams count as current once they took the serial that is held") {
  StoreRig rig;
  rig.supply(0);
  Watcher silent(rig.store, 0);
  Watcher reader(rig.store, 0);
  Watcher taker(rig.store, 0);

  reader.subscription->sent("e0");
  taker.subscription->sent("e0");
  taker.subscription->took("e0", taker.serial());
  EntryState before = rig.store.state("e0");
  rig.supply(0);
  EntryState replaced = rig.store.state("e0");
  taker.subscription->sent("e0");
  taker.subscription->took("e0", taker.serial());
  EntryState after = rig.store.state("e0");

  CHECK(before.subscribers == 3);
  CHECK(before.streams == 2);
  CHECK(before.streams_current == 1);
  CHECK(replaced.streams == 2);
  CHECK(replaced.streams_current == 0);
  CHECK(after.streams_current == 1);
}

TEST_CASE("streams that leave do not count, whatever they took") {
  StoreRig rig;
  rig.supply(0);
  Watcher reader(rig.store, 0);
  Watcher taker(rig.store, 0);
  Watcher bystander(rig.store, 0);
  reader.subscription->sent("e0");
  taker.subscription->took("e0", taker.serial());
  taker.subscription->took("e0", taker.serial());
  bystander.subscription->took("e0", "another");

  taker.leave();
  EntryState without_taker = rig.store.state("e0");
  reader.leave();
  bystander.leave();
  EntryState without_all = rig.store.state("e0");

  CHECK(without_taker.streams == 2);
  CHECK(without_taker.streams_current == 0);
  CHECK(without_all.streams == 0);
  CHECK(without_all.streams_current == 0);
}

TEST_CASE("a stream is current that took what the store came to hold only then") {
  StoreRig rig;
  rig.supply(0);
  Watcher early(rig.store, 0);
  SvidPtr next = rig.make_svid(0);
  early.subscription->took("e0", next->leaf().serial());

  EntryState before = rig.store.state("e0");
  REQUIRE(rig.store.install("e0", next));
  EntryState after = rig.store.state("e0");

  CHECK(before.streams_current == 0);
  CHECK(after.streams_current == 1);
}

TEST_CASE("listeners hear of installs, failures, acknowledgements and departures") {
  StoreRig rig;
  Watcher watcher(rig.store, 0);
  int heard = 0;
  auto handle = rig.store.on_change([&] { ++heard; });

  rig.supply(0);
  CHECK(heard == 1);
  rig.store.report_failure("e0", {Code::kUnavailable, "down"});
  CHECK(heard == 2);
  watcher.subscription->took("e0", watcher.serial());
  CHECK(heard == 3);
  watcher.leave();
  CHECK(heard == 4);
  handle.reset();
  rig.supply(0);

  CHECK(heard == 4);
}

TEST_CASE("whoever keeps SVIDs hears of each that comes or goes, and of nothing else") {
  StoreRig rig;
  Calls heard;
  auto handle = rig.store.on_svid([&](const std::string& entry_id) {
    heard.push_back(entry_id + (rig.store.svid(entry_id) ? " came" : " went"));
  });

  rig.set_bundle();
  Watcher watcher(rig.store, 0);
  rig.supply(0);
  rig.supply(1);
  watcher.subscription->took("e0", watcher.serial());
  rig.store.report_failure("e0", Error{Code::kUnavailable, "down"});
  rig.store.evict("e1");
  rig.clock.advance(hours(2));
  rig.store.drop_expired();
  handle.reset();
  rig.supply(2);

  CHECK(heard == Calls{"e0 came", "e1 came", "e1 went", "e0 went"});
}

TEST_CASE("a listener that another one removes is not called any more") {
  StoreRig rig;
  std::shared_ptr<void> second;
  int heard = 0;
  auto first = rig.store.on_change([&] { second.reset(); });
  second = rig.store.on_change([&] { ++heard; });

  rig.supply(0);

  CHECK(heard == 0);
}

}  // namespace
}  // namespace nodepilot
