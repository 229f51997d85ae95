// Everything that the `k8s` attestor needs, in one place: the kubelet's client, the thread that
// waits for it, and what was found.
#pragma once

#include <utility>
// Boost 1.74's asio uses std::exchange without including it.
#include <boost/asio/thread_pool.hpp>
#include <functional>

#include "agent/kubelet_client.h"
#include "attest/kubernetes/kubernetes_attestor.h"

namespace nodepilot {

// Thread: built and destroyed on one; the attestor is for any.
class Kubernetes {
 public:
  // Warns if the kubelet is not to be proven. `now` is called from any thread.
  Kubernetes(KubernetesOptions options, CgroupRoot root, const std::function<Time()>& now);
  Kubernetes(const Kubernetes&) = delete;
  Kubernetes& operator=(const Kubernetes&) = delete;
  // Breaks off the request that is under way.
  ~Kubernetes();

  const Attestor& attestor() const { return attestor_; }

 private:
  const KubernetesOptions options_;
  KubeletClient client_;
  boost::asio::thread_pool thread_{1};
  PodLists lists_;
  PodFinder finder_;
  const KubernetesAttestor attestor_;
};

}  // namespace nodepilot
