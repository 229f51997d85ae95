#include "rotation/rotation_schedule.h"

#include <algorithm>
#include <cmath>

namespace nodepilot {
namespace {

using std::chrono::milliseconds;

// A certificate of a few milliseconds must not turn into a loop that does nothing but issue.
constexpr Duration kShortestLife = milliseconds(500);
// Nor may a retry, if the jitter happens to be nothing.
constexpr Duration kShortestRetry = milliseconds(50);
// A CA that asks for more is mistaken, or wants our certificates to end.
constexpr Duration kLongestAsked = std::chrono::minutes(5);

Duration scaled(Duration duration, double factor) {
  return Duration(static_cast<Duration::rep>(static_cast<double>(duration.count()) * factor));
}

// start * 2^failures, at most `limit`; in doubles, which cannot wrap around.
Duration doubled(Duration start, unsigned failures, Duration limit) {
  double window =
      std::ldexp(static_cast<double>(start.count()), static_cast<int>(std::min(failures, 1000U)));
  return Duration(static_cast<Duration::rep>(std::min(window, static_cast<double>(limit.count()))));
}

}  // namespace

RotationSchedule::RotationSchedule(RotationPolicy policy, Jitter jitter)
    : policy_(policy), jitter_(std::move(jitter)) {}

void RotationSchedule::renewed(const EntryId& id, Time now, const Validity& validity) {
  double share = policy_.at + policy_.at * policy_.jitter * (2 * jitter_() - 1);
  Duration life = validity.not_after - now;
  Plan& plan = plans_[id];
  plan.failures = 0;
  plan_at(id, plan, now + std::max(scaled(life, std::clamp(share, 0.0, 1.0)), kShortestLife));
}

void RotationSchedule::failed(const EntryId& id, Time now, std::optional<Time> expiry,
                              std::optional<Duration> retry_after) {
  bool valid = expiry && *expiry > now;
  Duration limit = valid ? std::min(policy_.backoff_limit, (*expiry - now) / 20)
                         : policy_.backoff_limit_without_svid;
  Plan& plan = plans_[id];
  Duration window =
      doubled(policy_.backoff_start, plan.failures, std::max(limit, policy_.backoff_start));
  ++plan.failures;
  plan.failed_at = now;
  Duration wait = std::max(scaled(window, jitter_()), kShortestRetry);
  if (retry_after) {
    Duration asked = std::clamp(*retry_after, kShortestRetry, kLongestAsked);
    wait = asked + scaled(asked, jitter_());
  }
  Time when = now + wait;
  plan_at(id, plan, valid ? std::min(when, *expiry) : when);
}

void RotationSchedule::hasten(const EntryId& id, Time now, Duration within) {
  no_later_than(id, now + scaled(within, jitter_()));
}

void RotationSchedule::no_later_than(const EntryId& id, Time when) {
  auto it = plans_.find(id);
  if (it == plans_.end() || !it->second.at || *it->second.at <= when) return;
  plan_at(id, it->second, when);
}

void RotationSchedule::due_now(const EntryId& id, Time now) { plan_at(id, plans_[id], now); }

void RotationSchedule::forget(const EntryId& id) {
  auto it = plans_.find(id);
  if (it == plans_.end()) return;
  withdraw(id, it->second);
  plans_.erase(it);
}

std::vector<RotationSchedule::EntryId> RotationSchedule::take_due(Time now) {
  std::vector<EntryId> due;
  while (!by_time_.empty() && by_time_.begin()->first <= now) {
    EntryId id = by_time_.begin()->second;
    withdraw(id, plans_[id]);
    due.push_back(std::move(id));
  }
  return due;
}

std::optional<Time> RotationSchedule::next() const {
  if (by_time_.empty()) return std::nullopt;
  return by_time_.begin()->first;
}

std::optional<Time> RotationSchedule::planned(const EntryId& id) const {
  auto it = plans_.find(id);
  return it == plans_.end() ? std::nullopt : it->second.at;
}

unsigned RotationSchedule::failures(const EntryId& id) const {
  auto it = plans_.find(id);
  return it == plans_.end() ? 0 : it->second.failures;
}

std::optional<Time> RotationSchedule::failed_at(const EntryId& id) const {
  auto it = plans_.find(id);
  if (it == plans_.end() || it->second.failures == 0) return std::nullopt;
  return it->second.failed_at;
}

void RotationSchedule::plan_at(const EntryId& id, Plan& plan, Time when) {
  withdraw(id, plan);
  plan.at = when;
  by_time_.emplace(when, id);
}

void RotationSchedule::withdraw(const EntryId& id, Plan& plan) {
  if (plan.at) by_time_.erase({*plan.at, id});
  plan.at.reset();
}

}  // namespace nodepilot
