// The way to the CA: it is down, hangs, is somebody else, or has too much to do.
#include <doctest/doctest.h>

#include <random>
#include <set>

#include "agent/base/loop.h"
#include "agent/base/sha256.h"
#include "test/faults/upstream.h"
#include "test/support/captured_log.h"

namespace nodepilot {
namespace {

using steady = std::chrono::steady_clock;

// The same with real time and real workers, for what is about who waits for whom.
struct RealTimeRig {
  explicit RealTimeRig(int entries) : store(clock, make_accounts(entries)) {
    upstream.options.timeout = milliseconds(700);
    ca = upstream.connect();
    workers = std::make_unique<WorkerPool>(loop, 4);
    rotator = std::make_unique<Rotator>(clock, *workers, *ca, store, Rotator::Options{},
                                        [] { return 0.5; });
    store.set_demand(rotator.get());
    rotator->start();
  }

  std::shared_ptr<std::optional<RotationOutcome>> rotate(int number) {
    auto outcome = std::make_shared<std::optional<RotationOutcome>>();
    rotator->rotate("e" + std::to_string(number),
                    [outcome](const RotationOutcome& done) { *outcome = done; });
    return outcome;
  }

  // Runs the loop until `is_true`; false if that takes more than five seconds.
  bool until(const std::function<bool()>& is_true) {
    auto end = steady::now() + seconds(5);
    while (!is_true() && steady::now() < end) loop.io().run_one_for(milliseconds(10));
    return is_true();
  }

  Loop loop;
  LoopClock clock{loop};
  Upstream upstream{real_now};
  std::unique_ptr<IstiodCa> ca;
  IdentityStore store;
  std::unique_ptr<Rotator> rotator;
  std::unique_ptr<WorkerPool> workers;  // goes first
};

}  // namespace

TEST_CASE("fault 01: a CA that was down at the start is found when it is up") {
  UpstreamRig rig;
  rig.istiod.set(Fault::kDown);
  auto watcher = rig.watch(0);
  CHECK(watcher->now().svids.empty());
  REQUIRE(watcher->now().missing);
  CHECK(watcher->now().missing->code == Code::kUnavailable);
  rig.clock.advance(minutes(1));
  CHECK(rig.rotator->failures("e0") > 5);

  rig.istiod.recover();
  rig.clock.advance(seconds(10));

  CHECK(watcher->now().svids.size() == 1);
  CHECK(rig.failure().empty());
}

TEST_CASE("fault 02: an outage over the time of renewal is nobody's but the CA's") {
  UpstreamRig rig;
  auto watcher = rig.watch(0);
  const std::string serial = watcher->serial();

  rig.istiod.set(Fault::kDown);
  rig.clock.advance(minutes(58));
  auto newcomer = rig.watch(0);

  CHECK(watcher->updates.empty());
  CHECK(newcomer->serial() == serial);
  CHECK(has(rig.failure(), "UNAVAILABLE"));
  CHECK(has(rig.failure(), rig.istiod.address()));

  rig.istiod.recover();
  rig.clock.advance(seconds(30));

  CHECK(watcher->serial() != serial);
  CHECK(newcomer->serial() == watcher->serial());
}

TEST_CASE("fault 02: that its CA sets notBefore back does not raise the alarm of a short life") {
  UpstreamRig rig(
      1, {}, [] { return 0.5; }, seconds(10));
  auto watcher = rig.watch(0);
  CapturedLog log;

  rig.istiod.set(Fault::kDown);
  rig.clock.advance(seconds(8));
  CHECK(log.count("svid not issued") > 2);
  CHECK(log.count("svid about to expire") == 0);

  rig.clock.advance(seconds(2));
  CHECK(log.count("svid about to expire") == 1);
}

TEST_CASE("fault 03: an answer that takes too long ends at the deadline, others do not wait") {
  RealTimeRig rig(2);
  Watcher slow(rig.store, 0);
  Watcher other(rig.store, 1);
  REQUIRE(rig.until([&] { return !slow.serial().empty() && !other.serial().empty(); }));
  const std::string serial = slow.serial();
  rig.upstream.istiod.set(Fault::kSlow, seconds(30), account(0));

  auto begun = steady::now();
  auto slow_outcome = rig.rotate(0);
  auto outcome = rig.rotate(1);
  REQUIRE(rig.until([&] { return outcome->has_value(); }));
  CHECK((*outcome)->fresh);
  CHECK(!slow_outcome->has_value());

  REQUIRE(rig.until([&] { return slow_outcome->has_value(); }));
  CHECK(steady::now() - begun < seconds(2));
  CHECK((*slow_outcome)->error->code == Code::kDeadlineExceeded);
  CHECK(has((*slow_outcome)->error->message, "no answer within"));
  CHECK(slow.serial() == serial);
}

TEST_CASE("fault 03: a CA that is slow, but within the deadline, is waited for") {
  UpstreamRig rig;
  rig.istiod.set(Fault::kSlow, milliseconds(50));

  auto watcher = rig.watch(0);

  CHECK(watcher->now().svids.size() == 1);
}

TEST_CASE("fault 04: a connection on which nothing comes is left at the deadline") {
  UpstreamRig rig(1, be_impatient);
  auto watcher = rig.watch(0);
  const std::string serial = watcher->serial();
  std::size_t before = rig.istiod.heard().connections;
  SUBCASE("silent from the start") { rig.istiod.set(Fault::kSilent); }
  SUBCASE("silent behind TLS") { rig.istiod.set(Fault::kSilentBehindTls); }

  auto begun = steady::now();
  rig.clock.advance(minutes(30) + seconds(3));

  // The first try may have been on the connection that was cut, each other one made its own.
  CHECK(rig.rotator->failures("e0") >= 3);
  CHECK(rig.istiod.heard().connections - before + 1 >= rig.rotator->failures("e0"));
  CHECK(steady::now() - begun < seconds(5));
  CHECK(watcher->serial() == serial);
  CHECK(has(rig.failure(), "no answer within"));

  rig.istiod.recover();
  rig.clock.advance(seconds(30));
  CHECK(watcher->serial() != serial);
}

TEST_CASE("fault 04: the next address is asked, and asked first from then on") {
  FakeIstiod silent;
  silent.set(Fault::kSilent);
  UpstreamRig rig(1, [&](IstiodOptions& options) {
    options.addresses.insert(options.addresses.begin(), silent.address());
    options.timeout = seconds(1);  // half of it for each
  });

  auto watcher = rig.watch(0);
  const std::string serial = watcher->serial();
  CHECK(!serial.empty());
  std::size_t asked = silent.heard().connections;
  CHECK(asked > 0);

  rig.clock.advance(minutes(31));
  CHECK(watcher->serial() != serial);
  CHECK(silent.heard().connections == asked);
}

TEST_CASE("fault 05: nobody but the CA is told the token") {
  UpstreamRig rig(1, be_impatient);
  Fault fault = Fault::kNone;
  SUBCASE("another name") { fault = Fault::kOtherTlsName; }
  SUBCASE("an unknown CA") { fault = Fault::kUnknownTlsCa; }
  SUBCASE("plain text") { fault = Fault::kPlaintext; }
  rig.istiod.set(fault);

  auto watcher = rig.watch(0);
  rig.clock.advance(seconds(3));

  CHECK(watcher->now().svids.empty());
  CHECK(!rig.failure().empty());
  auto heard = rig.istiod.heard();
  CHECK(heard.connections >= 2);
  if (fault == Fault::kPlaintext) {
    REQUIRE(!heard.bytes.empty());
    CHECK(heard.bytes.front() == '\x16');  // the TLS handshake that nobody answers
    CHECK(!has(heard.bytes, Upstream::kToken));
  } else {
    CHECK(heard.bytes.empty());
  }
  CHECK(rig.istiod.counts().tokens.empty());

  rig.istiod.recover();
  rig.clock.advance(seconds(30));
  CHECK(watcher->now().svids.size() == 1);
  CHECK(rig.istiod.counts().tokens.contains(sha256_hex(Upstream::kToken)));
}

TEST_CASE("fault 06: weak TLS is refused") {
  UpstreamRig rig;
  SUBCASE("TLS 1.1") { rig.istiod.set(Fault::kOldTls); }
  SUBCASE("a weak cipher") { rig.istiod.set(Fault::kWeakCipher); }
  SUBCASE("a weak key") { rig.istiod.set(Fault::kWeakTlsKey); }

  auto watcher = rig.watch(0);

  CHECK(watcher->now().svids.empty());
  CHECK(rig.state().failure->code == Code::kUnavailable);
  CHECK(rig.istiod.heard().connections > 0);
  CHECK(rig.istiod.heard().handshakes == 0);
}

TEST_CASE("fault 06: no session is resumed, every handshake is a full one") {
  UpstreamRig rig(1, be_impatient);
  rig.istiod.set(Fault::kSilentBehindTls);

  auto watcher = rig.watch(0);
  rig.clock.advance(seconds(5));

  CHECK(rig.istiod.heard().handshakes >= 3);
  CHECK(rig.istiod.heard().resumed == 0);
}

TEST_CASE("fault 07: a CA that asks for a pause gets it, from each at another time") {
  constexpr int kEntries = 20;
  UpstreamRig rig(kEntries, {}, [engine = std::mt19937_64(7)]() mutable {
    return std::uniform_real_distribution<double>()(engine);
  });
  rig.istiod.set(Fault::kExhausted, seconds(30));

  std::vector<std::unique_ptr<Watcher>> watchers;
  watchers.reserve(kEntries);
  for (int number = 0; number < kEntries; ++number) watchers.push_back(rig.watch(number));
  CHECK(rig.istiod.counts().calls == kEntries);
  rig.clock.advance(seconds(29));
  CHECK(rig.istiod.counts().calls == kEntries);

  std::set<Time> again;
  for (int number = 0; number < kEntries; ++number) {
    again.insert(rig.rotator->next_renewal("e" + std::to_string(number)).value());
  }
  CHECK(again.size() == kEntries);
  CHECK(*again.rbegin() - *again.begin() > seconds(15));
  CHECK(has(rig.failure(), "RESOURCE_EXHAUSTED"));

  rig.istiod.recover();
  rig.clock.advance(seconds(32));
  for (const auto& watcher : watchers) CHECK(watcher->now().svids.size() == 1);
}

TEST_CASE("fault 07: without a hint the usual backoff holds, also at a renewal") {
  UpstreamRig rig;
  auto watcher = rig.watch(0);
  const std::string serial = watcher->serial();

  rig.istiod.set(Fault::kExhausted);
  rig.clock.advance(minutes(50));

  CHECK(watcher->serial() == serial);
  CHECK(rig.istiod.counts().calls < 60);
}

}  // namespace nodepilot
