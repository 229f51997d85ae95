#include "attest/kubernetes/pod_lists.h"

#include "agent/base/log.h"
#include "attest/kubernetes/pod_list_parser.h"

namespace nodepilot {
namespace {

expected<PodList> fetch(Kubelet& kubelet, const std::string& node_name) {
  auto text = TRY(kubelet.pods());
  return parse_pod_list(*text, node_name);
}

void report(const PodList& list) {
  if (list.unreadable == 0) return;
  log::warn("pods left out of the kubelet's list",
            {{"count", list.unreadable}, {"first", list.why}});
}

}  // namespace

PodLists::PodLists(Kubelet& kubelet, std::string node_name, std::function<Time()> now, Run run)
    : kubelet_(kubelet),
      node_name_(std::move(node_name)),
      now_(std::move(now)),
      run_(std::move(run)) {}

PodLists::Latest PodLists::latest() const {
  std::lock_guard lock(mutex_);
  return latest_;
}

void PodLists::refresh() {
  Time now = now_();
  {
    std::lock_guard lock(mutex_);
    if (latest_.under_way) return;
    // A clock that was set back must not hold up anybody.
    bool is_recent = latest_.began && *latest_.began <= now && now - *latest_.began < kShortestGap;
    if (is_recent) return;
    latest_.began = now;
    latest_.under_way = true;
  }
  run_([this, now] { ask(now); });
}

void PodLists::ask(Time began) {
  auto list = fetch(kubelet_, node_name_);
  if (list) {
    report(*list);
  } else {
    log::warn("kubelet's list of pods not had", {{"error", list.error().message}});
  }
  std::lock_guard lock(mutex_);
  latest_.under_way = false;
  latest_.failure.reset();
  if (!list) {
    latest_.failure = list.error();
    return;
  }
  latest_.list = std::make_shared<const PodIndex>(std::move(list->index));
  latest_.asked_at = began;
}

}  // namespace nodepilot
