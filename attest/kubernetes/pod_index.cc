#include "attest/kubernetes/pod_index.h"

#include <algorithm>

#include "agent/base/log.h"
#include "attest/kubernetes/pod_selectors.h"

namespace nodepilot {
namespace {

// A cgroup has the UID of a static pod without dashes, and that of any other with them.
std::string without_dashes(std::string_view uid) {
  std::string bare;
  std::copy_if(uid.begin(), uid.end(), std::back_inserter(bare), [](char c) { return c != '-'; });
  return bare;
}

bool is_undashed(std::string_view uid) { return uid.find('-') == std::string_view::npos; }

void add_lines(Selectors& selectors, std::string_view lines) {
  while (!lines.empty()) {
    auto end = lines.find('\n');
    selectors.insert({"k8s", std::string(lines.substr(0, end))});
    lines.remove_prefix(end + 1);
  }
}

}  // namespace

void PodIndex::add(const Pod& pod) {
  pods_.push_back({pod.uid, pod.config_hash, pod_selector_lines(pod)});
  add(pod.containers);
  add(pod.init_containers);
  add(pod.ephemeral_containers);
}

void PodIndex::add(const std::vector<PodContainer>& containers) {
  for (const PodContainer& one : containers) {
    if (one.id.empty()) continue;
    Container container{pods_.size() - 1, container_selector_lines(one)};
    auto [known, is_new] = containers_.try_emplace(one.id, std::move(container));
    if (!is_new) known->second.is_ambiguous = true;
  }
}

expected<std::optional<Selectors>> PodIndex::find(std::string_view pod_uid,
                                                  const std::string& container_id) const {
  auto found = containers_.find(container_id);
  if (found == containers_.end()) return std::nullopt;
  const Container& container = found->second;
  if (container.is_ambiguous) {
    return fail(Code::kFailedPrecondition,
                "container " + container_id + " stands twice in the kubelet's list");
  }
  const Listed& pod = pods_[container.pod];
  bool is_its_pod =
      without_dashes(pod.uid) == without_dashes(pod_uid) ||
      (is_undashed(pod_uid) && !pod.config_hash.empty() && pod.config_hash == pod_uid);
  if (!is_its_pod) {
    return fail(Code::kFailedPrecondition,
                "container " + container_id + " runs in the cgroup of pod " + std::string(pod_uid) +
                    ", but the kubelet lists it for pod " + quote(pod.uid));
  }
  Selectors selectors;
  add_lines(selectors, pod.selectors);
  add_lines(selectors, container.selectors);
  return selectors;
}

}  // namespace nodepilot
