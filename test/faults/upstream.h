// The real client of istiod and the real rotator against an istiod that goes wrong: the network is
// real, the loopback; time is ours, but for that which passes on the network.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "rotation/ca/istiod/file_token.h"
#include "rotation/ca/istiod/istiod_ca.h"
#include "test/rotation/rig.h"
#include "test/support/fake_istiod/fake_istiod.h"
#include "test/support/temporary_directory.h"

namespace nodepilot {

using test::FakeIstiod;
using test::Fault;

inline Time real_now() { return std::chrono::floor<Duration>(std::chrono::system_clock::now()); }

// Entry N is "eN": spiffe://td/ns/shop/sa/N for uid N, for an hour.
inline std::string account(int number) {
  return "spiffe://td/ns/shop/sa/" + std::to_string(number);
}

inline EntrySet make_accounts(int count, seconds ttl = hours(1)) {
  std::vector<Entry> entries;
  entries.reserve(static_cast<std::size_t>(count));
  for (int number = 0; number < count; ++number) {
    entries.push_back(make_entry(number));
    entries.back().ttl = ttl;
    entries.back().spiffe_id = SpiffeId::parse(account(number)).value();
  }
  return EntrySet(std::move(entries));
}

// What the CA is, and what the agent is given to reach it.
struct Upstream {
  explicit Upstream(std::function<Time()> now) : istiod(now), now_(std::move(now)) {
    istiod.trust(kToken, "spiffe://td/ns/infra/sa/node", true);
    directory.write("root.pem", istiod.root());
    directory.write("token", kToken);
    options.addresses = {istiod.address()};
    options.token_file = directory / "token";
    options.root_file = directory / "root.pem";
    options.server_name = FakeIstiod::kTlsName;
    options.ask_as = IstiodOptions::AskAs::kNodeAgent;
    options.timeout = seconds(3);
  }

  std::unique_ptr<IstiodCa> connect() const {
    return std::make_unique<IstiodCa>(TrustDomain::parse("td").value(), options,
                                      std::make_unique<FileToken>(options.token_file, now_), now_);
  }

  // Whatever somebody else was told, this was not told to them.
  static constexpr const char* kToken = "token.of-the.node";

  FakeIstiod istiod;
  TemporaryDirectory directory;
  IstiodOptions options;

 private:
  std::function<Time()> now_;
};

// For an agent that is to run into its deadline again and again.
inline void be_impatient(IstiodOptions& options) { options.timeout = milliseconds(250); }

struct UpstreamRig {
  using Change = std::function<void(IstiodOptions&)>;

  explicit UpstreamRig(
      int entries = 1, const Change& change = {}, Jitter jitter = [] { return 0.5; },
      seconds ttl = hours(1))
      : store(clock, make_accounts(entries, ttl)) {
    if (change) change(upstream.options);
    ca = upstream.connect();
    rotator = std::make_unique<Rotator>(clock, workers, *ca, store, Rotator::Options{},
                                        std::move(jitter));
    store.set_demand(rotator.get());
    rotator->start();
  }

  std::unique_ptr<Watcher> watch(int uid) { return std::make_unique<Watcher>(store, uid); }
  EntryState state(int number = 0) const { return store.state("e" + std::to_string(number)); }
  // Why the last try failed; empty if it did not.
  std::string failure(int number = 0) const {
    auto failure = state(number).failure;
    return failure ? failure->message : "";
  }

  FakeClock clock{real_now()};
  InlineWorkers workers;
  Upstream upstream{[this] { return clock.now(); }};
  FakeIstiod& istiod = upstream.istiod;
  std::unique_ptr<IstiodCa> ca;
  IdentityStore store;
  std::unique_ptr<Rotator> rotator;
};

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace nodepilot
