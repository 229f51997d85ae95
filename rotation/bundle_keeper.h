// Keeps the store's trust bundle as the CA tells it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/workers.h"
#include "rotation/identity_store.h"
#include "rotation/measured_ca.h"
#include "rotation/rotation_schedule.h"

namespace nodepilot {

// Thread: loop; the CA is called on workers.
class BundleKeeper {
 public:
  // Retries with the backoff of `policy`; a bundle that was told is asked for again every
  // `refresh`. The references outlive it and every job already given to `workers`.
  // `on_orphans` hears, at each bundle, whose SVIDs need a root that the CA has withdrawn.
  BundleKeeper(Clock& clock, Workers& workers, CertificateAuthority& ca, IdentityStore& store,
               RotationPolicy policy, Duration refresh, Jitter jitter,
               std::function<void(const std::vector<std::string>& entry_ids)> on_orphans = {});

  // Asks now, and from then on by itself. Nothing if the CA is being asked already.
  void fetch();

  // Publishes a bundle that the CA told. Old roots that it lacks stay beside its own as long as
  // valid SVIDs held need them: a root withdrawn too early cuts off who still serves its leaves.
  // JWT keys are published as told: the CA keeps those that verify tokens still in use.
  void adopt(TrustBundle bundle);

  std::optional<Time> last_success() const { return last_success_; }
  const std::optional<Error>& last_error() const { return last_error_; }
  const CaAnswers& ca_answers() const { return ca_answers_; }

 private:
  void finish(expected<TrustBundle> result);
  // The entries whose valid SVIDs have no path to a root of `bundle`.
  std::vector<std::string> orphans_of(const TrustBundle& bundle) const;

  Clock& clock_;
  Workers& workers_;
  CertificateAuthority& ca_;
  IdentityStore& store_;
  const Duration refresh_;
  const std::function<void(const std::vector<std::string>&)> on_orphans_;
  RotationSchedule schedule_;  // with one plan
  Alarm alarm_;
  bool is_fetching_ = false;
  std::optional<Time> last_success_;
  std::optional<Error> last_error_;
  CaAnswers ca_answers_;
  std::shared_ptr<BundleKeeper*> self_;  // completions hold it weakly
};

}  // namespace nodepilot
