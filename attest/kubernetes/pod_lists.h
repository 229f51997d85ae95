// The newest list of pods, had from the kubelet by one request at a time however many ask.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "agent/base/time.h"
#include "attest/kubernetes/kubelet.h"
#include "attest/kubernetes/pod_index.h"

namespace nodepilot {

// Thread: any, several at once; none of its functions waits.
class PodLists {
 public:
  // Runs a job on a thread that may wait, one job at a time.
  using Run = std::function<void(std::function<void()>)>;

  // The kubelet is not asked more often than that, whatever for.
  static constexpr Duration kShortestGap = std::chrono::milliseconds(100);

  struct Latest {
    std::shared_ptr<const PodIndex> list;  // of the latest request that was answered well, ...
    Time asked_at{};                       // ... and when that began; null before the first
    std::optional<Time> began;             // the latest request; none: there was none
    bool under_way = false;                // it is not yet answered
    std::optional<Error> failure;          // it was answered, but not well
  };

  // `kubelet` outlives every job. With `node_name`, lists of other nodes are refused. `now` is
  // called from any thread. Jobs end before this does: that is for the owner of `run` to see to.
  PodLists(Kubelet& kubelet, std::string node_name, std::function<Time()> now, Run run);

  Latest latest() const;

  // Asks the kubelet, unless a request is under way or began less than kShortestGap ago.
  void refresh();

 private:
  void ask(Time began);

  Kubelet& kubelet_;
  const std::string node_name_;
  const std::function<Time()> now_;
  const Run run_;

  mutable std::mutex mutex_;  // not held while the kubelet is waited for
  Latest latest_;
};

}  // namespace nodepilot
