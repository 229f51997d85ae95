// Decides when each certificate must be renewed. Does no I/O and reads no clock: the caller says
// what time it is and sleeps until next().
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/time.h"
#include "rotation/pki/certificate.h"

namespace nodepilot {

// A uniform number in [0, 1). Tests give constants.
using Jitter = std::function<double()>;

struct RotationPolicy {
  double at = 0.5;      // renew when this share of the life has passed ...
  double jitter = 0.1;  // ... give or take this share of it: 0.5 and 0.1 mean 0.45 to 0.55
  Duration backoff_start = std::chrono::milliseconds(500);
  Duration backoff_limit = std::chrono::seconds(150);
  // With nothing valid in hand somebody is waiting: retry at least this often.
  Duration backoff_limit_without_svid = std::chrono::seconds(10);
};

// Thread: loop.
class RotationSchedule {
 public:
  using EntryId = std::string;

  RotationSchedule(RotationPolicy policy, Jitter jitter);

  // Plans the renewal of a certificate that arrived at `now`, replacing any earlier plan and its
  // backoff. The instant is drawn here, once: re-drawing at each look would bunch all renewals at
  // the window's early edge. Life counts from `now`, since notBefore is often back-dated.
  void renewed(const EntryId& id, Time now, const Validity& validity);

  // Plans a retry: full jitter in a window that doubles from backoff_start up to
  // min(backoff_limit, remaining life / 20), and never after `expiry`, which is the notAfter of the
  // SVID still held, if there is one. If the CA said when to come again, the window begins there
  // and is as long again.
  void failed(const EntryId& id, Time now, std::optional<Time> expiry,
              std::optional<Duration> retry_after = std::nullopt);

  // Brings a plan forward to a random instant within `within`; never puts it off, and makes none.
  void hasten(const EntryId& id, Time now, Duration within);
  // Brings a plan forward to `when`.
  void no_later_than(const EntryId& id, Time when);
  // Due at once, whatever was planned; keeps the count of failures.
  void due_now(const EntryId& id, Time now);
  void forget(const EntryId& id);

  // Removes and returns what is due at `now`, earliest plan first.
  std::vector<EntryId> take_due(Time now);

  // When to call take_due() again; empty if nothing is planned.
  std::optional<Time> next() const;
  std::optional<Time> planned(const EntryId& id) const;
  unsigned failures(const EntryId& id) const;
  // The last of them; empty if there is none.
  std::optional<Time> failed_at(const EntryId& id) const;

 private:
  struct Plan {
    std::optional<Time> at;  // empty while its issue is in flight
    unsigned failures = 0;
    Time failed_at{};  // if there are failures
  };

  void plan_at(const EntryId& id, Plan& plan, Time when);
  void withdraw(const EntryId& id, Plan& plan);

  const RotationPolicy policy_;
  const Jitter jitter_;
  std::map<EntryId, Plan> plans_;
  std::set<std::pair<Time, EntryId>> by_time_;  // the plans that have an instant
};

}  // namespace nodepilot
