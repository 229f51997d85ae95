// The `k8s` attestor: SPIRE's selectors of the pod and the container that a process runs in
// (attest/kubernetes/pod_selectors.h). Where that is, its cgroup tells; the rest, the node's
// kubelet.
#pragma once

#include "attest/attestor.h"
#include "attest/cgroup_root.h"
#include "attest/kubernetes/pod_finder.h"

namespace nodepilot {

class KubernetesAttestor : public Attestor {
 public:
  // `finder` outlives it.
  KubernetesAttestor(PodFinder& finder, CgroupRoot root)
      : root_(std::move(root)), finder_(finder) {}

  const char* name() const override { return "k8s"; }
  // It looks into lists that others have fetched; who is not in one is told to ask again.
  bool is_quick() const override { return true; }

  // Nothing for a process that is in no pod. Errors as of PodFinder::find(); one besides if the
  // cgroup leaves a doubt.
  expected<Selectors> attest(const Peer& peer) const override;

 private:
  const CgroupRoot root_;
  PodFinder& finder_;  // synchronizes itself
};

}  // namespace nodepilot
