// Keeps every wanted identity supplied: issues at first demand, renews on schedule, retries with
// backoff, and publishes only what has been verified.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/token_bucket.h"
#include "agent/base/workers.h"
#include "rotation/bundle_keeper.h"
#include "rotation/certificate_authority.h"
#include "rotation/held_back.h"
#include "rotation/identity_store.h"
#include "rotation/issue_queue.h"
#include "rotation/measured_ca.h"
#include "rotation/root_change.h"
#include "rotation/rotation_schedule.h"

namespace nodepilot {

// What a forced rotation did. `fresh` is null if it failed.
struct RotationOutcome {
  std::string entry_id;
  SvidPtr before;
  SvidPtr fresh;
  std::optional<Error> error;
};

// What came of every try to issue, since the agent's start, by why it was made.
struct RotationCounts {
  struct Tally {
    std::uint64_t succeeded = 0;
    std::uint64_t failed = 0;
  };
  Tally first{};    // nothing was held
  Tally renewal{};  // it was due
  Tally forced{};   // somebody asked for it: rotate()
};

// Thread: loop; the CA is called on workers.
class Rotator : public Demand {
 public:
  struct Options {
    RotationPolicy policy;
    LifeLimits life{std::chrono::minutes(2), std::chrono::hours(24)};
    std::size_t max_in_flight = 8;
    // CSRs a second, of the whole node, evenly spaced; without: no limit.
    std::optional<std::size_t> max_rate{};
    // How long an identity that nobody wants any more is kept and served to the next who asks.
    Duration grace = std::chrono::minutes(1);
    // How often the CA is asked for its roots, so that a new root is here before the first peer
    // shows a leaf of it.
    Duration bundle_refresh = std::chrono::minutes(1);
    // How long the first leaf under a new root waits for streams to take that root.
    Duration root_patience = std::chrono::seconds(5);
    // After a change of root, over how long the leaves under the old one are issued anew.
    Duration root_change_spread = std::chrono::minutes(5);
  };

  // All references outlive it and every job already given to `workers`.
  Rotator(Clock& clock, Workers& workers, CertificateAuthority& ca, IdentityStore& store,
          Options options, Jitter jitter);
  ~Rotator() override;

  // Fetches the trust bundle, again and again with backoff until the CA tells it, and from then on
  // every bundle_refresh. Issues wait for the first.
  void start();

  // Serves an SVID of an earlier life of the agent, which the CA gave at `arrived`: it is renewed
  // when it would have been, if anybody wants it then.
  expected<void> restore(const EntryPtr& entry, SvidPtr svid, Time arrived);

  void wanted(const EntryPtr& entry) override;
  void unwanted(const EntryPtr& entry) override;

  // Issues anew now, or joins the issue in flight; the SVID held is served until the new one is
  // installed. `done` runs once, on the loop, unless the rotator ends first. An entry that nobody
  // wants and that holds nothing is kNotFound.
  void rotate(const std::string& entry_id, std::function<void(RotationOutcome)> done);

  // For `status`: when the entry is issued next, and how often it failed in a row.
  std::optional<Time> next_renewal(const std::string& entry_id) const;
  unsigned failures(const std::string& entry_id) const;
  const RotationCounts& counts() const { return counts_; }
  // Of all that the CA was asked for.
  CaAnswers ca_answers() const;
  bool in_flight(const std::string& entry_id) const { return in_flight_.contains(entry_id); }

  // For `status`: when the CA last answered well, and what went wrong if its answers did not since.
  std::optional<Time> ca_last_success() const {
    return std::max(last_issue_, bundle_keeper_.last_success());
  }
  const std::optional<Error>& ca_last_error() const {
    return issue_error_ ? issue_error_ : bundle_keeper_.last_error();
  }

 private:
  using Waiters = std::vector<std::function<void(RotationOutcome)>>;

  // A caller has come for it.
  void demand(const std::string& entry_id);
  void enqueue(const std::string& entry_id);
  Urgency urgency_of(const std::string& entry_id) const;
  void start_queued();
  bool can_issue() const;
  void start_issue(const EntryPtr& entry);
  void finish_issue(const EntryPtr& entry, const BundlePtr& bundle, expected<IssuedSvid> result);
  // What came of a try for the entry is counted there.
  RotationCounts::Tally& tally(const std::string& entry_id, const SvidPtr& before);
  // Publishes it, or holds it back until it may be seen.
  void offer(HeldBack::Item item);
  bool is_root_everywhere(const X509Svid& svid) const;
  expected<SvidPtr> publish(HeldBack::Item item);
  void conclude(const EntryPtr& entry, SvidPtr before, const expected<SvidPtr>& published);
  void plan_renewal(const RotationOutcome& outcome);
  void plan_retry(const EntryPtr& entry, const Error& error);
  void heed_recovery();
  // Plans that their SVIDs, which are under an old root, are issued anew.
  void leave_root(const std::vector<std::string>& entry_ids);
  // Once for each SVID, when the CA has failed until shortly before its end.
  void warn_of_end(const X509Svid& held, const Entry& entry);

  // Runs what is due, and sleeps until the next thing is.
  void wake();
  void settle_roots();
  void release_held();
  void evict_unwanted();
  void forget_failure();
  bool is_kept(const EntryPtr& entry) const;
  bool is_busy(const std::string& entry_id) const;
  void heed_step_back();
  void arm();

  Clock& clock_;
  Workers& workers_;
  CertificateAuthority& ca_;
  IdentityStore& store_;
  const Options options_;

  RotationSchedule schedule_;
  RootChange root_change_;
  BundleKeeper bundle_keeper_;
  Alarm alarm_;
  std::shared_ptr<void> clock_watch_;  // hears of steps back
  std::shared_ptr<void> store_watch_;  // hears of the first bundle, and of roots taken
  IssueQueue queue_;
  std::optional<BasicTokenBucket<Time>> rate_;
  bool starting_ = false;                   // start_queued() is running
  std::map<std::string, Time> in_flight_;   // entry id -> since when
  HeldBack held_;                           // these are in flight too
  std::map<std::string, Waiters> waiters_;  // of rotate(), by entry id
  std::map<std::string, Time> unwanted_since_;
  std::set<std::string> unreached_;  // entries whose last try did not reach the CA
  std::set<std::string> ending_;     // entries whose end was warned of
  Time latest_;                      // the latest that the clock has told
  RotationCounts counts_;
  CaAnswers ca_answers_;  // to issues
  std::optional<Time> last_issue_;
  std::optional<Error> issue_error_;
  std::shared_ptr<Rotator*> self_;  // completions hold it weakly: they may come after our end
};

}  // namespace nodepilot
