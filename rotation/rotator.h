// Keeps every wanted identity supplied: issues at first demand, renews on schedule, retries with
// backoff, and publishes only what has been verified.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/workers.h"
#include "rotation/certificate_authority.h"
#include "rotation/identity_store.h"
#include "rotation/rotation_schedule.h"

namespace nodepilot {

// Key, CSR, signature, verification, all on the calling thread. Thread: worker.
expected<X509Svid> issue(CertificateAuthority& ca, const Entry& entry, const TrustBundle& bundle,
                         Time now);

// What a forced rotation did. `fresh` is null if it failed.
struct RotationOutcome {
  std::string entry_id;
  SvidPtr before;
  SvidPtr fresh;
  std::optional<Error> error;
};

// Thread: loop; the CA is called on workers.
class Rotator : public Demand {
 public:
  struct Options {
    RotationPolicy policy;
    std::size_t max_in_flight = 8;
    // How long an identity that nobody wants any more is kept and served to the next who asks.
    Duration grace = std::chrono::minutes(1);
  };

  // All references outlive it, and so do jobs already given to `workers`.
  Rotator(Clock& clock, Workers& workers, CertificateAuthority& ca, IdentityStore& store,
          Options options, Jitter jitter);
  ~Rotator() override;

  // Fetches the trust bundle, again and again with backoff until the CA tells it. Issues wait for
  // it.
  void start();

  void wanted(const EntryPtr& entry) override;
  void unwanted(const EntryPtr& entry) override;

  // Issues anew now, or joins the issue in flight; the SVID held is served until the new one is
  // installed. `done` runs once. An entry that nobody wants and that holds nothing is kNotFound.
  void rotate(const std::string& entry_id, std::function<void(RotationOutcome)> done);

  // For `status`: when the entry is issued next, and how often it failed in a row.
  std::optional<Time> next_renewal(const std::string& entry_id) const;
  unsigned failures(const std::string& entry_id) const;
  bool in_flight(const std::string& entry_id) const { return in_flight_.contains(entry_id); }

  // For `status`: when the CA last answered well, and what it said if it did not since.
  std::optional<Time> ca_last_success() const { return ca_last_success_; }
  const std::optional<Error>& ca_last_error() const { return ca_last_error_; }

 private:
  using Waiters = std::vector<std::function<void(RotationOutcome)>>;

  void fetch_bundle();
  void ensure(const std::string& entry_id);
  void enqueue(const std::string& entry_id);
  void start_queued();
  void start_issue(const EntryPtr& entry);
  void finish_issue(const EntryPtr& entry, expected<X509Svid> result);
  void wake();
  void arm();

  Clock& clock_;
  Workers& workers_;
  CertificateAuthority& ca_;
  IdentityStore& store_;
  const Options options_;

  RotationSchedule schedule_;
  RotationSchedule bundle_retry_;
  Alarm alarm_;
  std::deque<std::string> queue_;  // due, waiting for a free place in flight
  std::set<std::string> in_flight_;
  std::map<std::string, Waiters> waiters_;  // of rotate(), by entry id
  std::map<std::string, Time> unwanted_since_;
  std::optional<Time> ca_last_success_;
  std::optional<Error> ca_last_error_;
  std::shared_ptr<Rotator*> self_;  // completions hold it weakly: they may come after our end
};

}  // namespace nodepilot
