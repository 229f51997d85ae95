// Keeps the store's bundles of foreign trust domains as their endpoints serve them (SPIFFE
// Federation, sections 4 to 6). Each federation stands alone: what one publisher does wrong leaves
// the bundle held from it, and every other trust domain, as they are.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/workers.h"
#include "rotation/federation/bundle_fetcher.h"
#include "rotation/federation/stored_bundles.h"
#include "rotation/identity_store.h"
#include "rotation/rotation_schedule.h"

namespace nodepilot {

// One federation as an operator sees it.
struct FederationStatus {
  TrustDomain trust_domain;
  std::string url;
  bool has_bundle = false;
  std::optional<std::uint64_t> sequence{};  // of the bundle held
  std::optional<Time> last_success{};       // of a poll, since our start
  std::optional<Error> last_error{};        // of the last poll, if it failed
  unsigned failures = 0;                    // in a row
  std::uint64_t polls = 0;                  // since our start ...
  std::uint64_t failed_polls = 0;           // ... and of them the failed
  std::optional<Time> next_poll{};          // empty while one is under way
};

// Thread: loop; endpoints are asked, and copies written, on workers.
class FederationKeeper {
 public:
  // The references outlive it and every job already given to `workers`.
  FederationKeeper(Clock& clock, Workers& workers, BundleFetcher& fetcher, IdentityStore& store,
                   const std::vector<Federation>& federations,
                   const std::filesystem::path& state_dir, Jitter jitter);

  // Publishes the stored copies, or the first bundles that the configuration names, deletes the
  // copies of former federations, and begins to poll. Once; blocks on the disk.
  void start();

  std::vector<FederationStatus> status() const;

 private:
  // A federation and what is held of it. At most one of its jobs is under way.
  struct Link {
    Link(Federation f, FederationStatus s, Clock& clock, std::function<void()> poll)
        : federation(std::move(f)), status(std::move(s)), alarm(clock, std::move(poll)) {}

    const Federation federation;
    std::optional<BundleDocument> held;
    std::shared_ptr<const TrustBundle> bundle;  // that of `held`
    FederationStatus status;
    Time poll_began;
    Alarm alarm;
  };

  void load(Link& link);
  void poll(Link& link);
  void read_first(Link& link);
  void fetch(Link& link, const std::shared_ptr<const TrustBundle>& anchors);
  void finish(Link& link, expected<BundleDocument> result);
  void fail_poll(Link& link, Error error);
  void take(Link& link, BundleDocument document);
  void save(Link& link);
  void plan(Link& link);

  // The bundle of the endpoint's own trust domain; null for https_web.
  expected<std::shared_ptr<const TrustBundle>> anchors_of(const Link& link) const;

  // Runs work() on a worker, then then(its result) here, unless we have ended by then.
  template <class Work, class Then>
  void run(Work work, Then then);

  Clock& clock_;
  Workers& workers_;
  BundleFetcher& fetcher_;
  IdentityStore& store_;
  const StoredBundles stored_;
  const Jitter jitter_;
  std::map<TrustDomain, Link> links_;
  std::shared_ptr<FederationKeeper*> self_;  // completions hold it weakly
};

}  // namespace nodepilot
