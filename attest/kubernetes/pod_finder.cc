#include "attest/kubernetes/pod_finder.h"

#include <fmt/format.h>

#include <algorithm>

namespace nodepilot {
namespace {

constexpr Duration kPoll = std::chrono::milliseconds(500);
constexpr Duration kShortestPause = std::chrono::milliseconds(10);
// A healthy kubelet answers in tens of milliseconds.
constexpr Duration kSlow = std::chrono::seconds(1);

// When the kubelet is to be asked again for who has waited since then: at once if the latest
// request is from before that, else a little later.
Time next_request(const PodLists::Latest& latest, Time since) {
  if (!latest.began) return since;
  return *latest.began + (*latest.began >= since ? kPoll : PodLists::kShortestGap);
}

bool is_due(const PodLists::Latest& latest, Time since, Time now) {
  if (latest.under_way) return false;
  // The latest request lies ahead of us if the clock was set back.
  return next_request(latest, since) <= now || *latest.began > now;
}

std::string name_of(const PodContainerKey& where) {
  return "container " + where.container_id + " of pod " + where.pod_uid;
}

}  // namespace

expected<Selectors> PodFinder::find(const PodContainerKey& where,
                                    std::optional<std::uint64_t> process) {
  Time now = now_();
  auto latest = lists_.latest();
  std::lock_guard lock(mutex_);
  Time since = Time::max();
  Answer answer = listed(latest, where, since, now);
  if (!answer) {
    since = TRY(waits_.look(where.container_id, now));
    if (is_due(latest, since, now)) {
      lists_.refresh();
      latest = lists_.latest();
    }
    answer = listed(latest, where, since, now);
  }
  if (answer && *answer && process) {
    known_.note(*process, where.container_id, latest.asked_at, **answer);
  }
  if (!answer) answer = remembered(latest, where, process, since, now);
  if (!answer) {
    if (auto why = verdict(latest, where, since, now)) answer = tl::unexpected<Error>(*why);
  }
  if (!answer) {
    return tl::unexpected<Error>(
        {Code::kUnavailable, name_of(where) + " is not known yet", pause(latest, since, now)});
  }
  waits_.end(where.container_id);
  return *std::move(answer);
}

PodFinder::Answer PodFinder::listed(const Latest& latest, const PodContainerKey& where, Time since,
                                    Time now) const {
  if (!latest.list) return std::nullopt;
  bool is_recent = latest.asked_at <= now && now - latest.asked_at <= options_.reuse;
  if (!is_recent && latest.asked_at < since) return std::nullopt;
  auto found = latest.list->find(where.pod_uid, where.container_id);
  if (!found) return tl::unexpected<Error>(found.error());
  if (!*found) return std::nullopt;
  return **std::move(found);
}

PodFinder::Answer PodFinder::remembered(const Latest& latest, const PodContainerKey& where,
                                        std::optional<std::uint64_t> process, Time since,
                                        Time now) const {
  if (!process) return std::nullopt;
  bool is_slow = latest.under_way && latest.began && now - *latest.began >= kSlow;
  bool is_forgotten = latest.list && latest.asked_at >= since;
  if (!latest.failure && !is_slow && !is_forgotten) return std::nullopt;
  auto known = known_.recall(*process, where.container_id);
  if (!known) return std::nullopt;
  return *std::move(known);
}

std::optional<Error> PodFinder::verdict(const Latest& latest, const PodContainerKey& where,
                                        Time since, Time now) const {
  bool is_over = now - since >= options_.wait;
  if (latest.failure) {
    bool is_told = !latest.under_way && *latest.began >= since;
    // What it sent may be whole next time.
    bool may_pass = latest.failure->code == Code::kDataLoss;
    if (!is_over && (!is_told || may_pass)) return std::nullopt;
    return Error{Code::kUnavailable, "ask the kubelet: " + latest.failure->message};
  }
  if (!is_over) return std::nullopt;
  std::string waited = to_text(options_.wait);
  bool is_missing = latest.list && latest.asked_at >= since;
  if (is_missing) {
    return Error{Code::kDeadlineExceeded,
                 fmt::format("{} is not in the kubelet's list after {}", name_of(where), waited)};
  }
  return Error{Code::kDeadlineExceeded,
               fmt::format("{}: the kubelet has not answered for {}", name_of(where), waited)};
}

// While an answer is on its way, ever less often; else until the next request is due. Not beyond
// the end of the wait.
Duration PodFinder::pause(const Latest& latest, Time since, Time now) const {
  Duration pause = latest.under_way && latest.began ? (now - *latest.began) / 4
                                                    : next_request(latest, since) - now;
  pause = std::min(pause, since + options_.wait - now);
  return std::clamp(pause, kShortestPause, kPoll);
}

}  // namespace nodepilot
