#include "attest/kubernetes/kubernetes_attestor.h"

#include "attest/container.h"
#include "attest/pidfd.h"

namespace nodepilot {

expected<Selectors> KubernetesAttestor::attest(const Peer& peer) const {
  auto location = TRY(locate_container(peer.facts().cgroup, root_));
  // What a user's own engine calls a pod is that user's word; the kubelet knows nothing of it.
  bool is_in_pod = location && !location->pod_uid.empty() && !location->rootless_uid;
  if (!is_in_pod) return Selectors();
  return finder_.find({location->pod_uid, location->container_id}, unique_inode(peer.pidfd()));
}

}  // namespace nodepilot
