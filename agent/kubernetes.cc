#include "agent/kubernetes.h"

#include <boost/asio/post.hpp>

#include "agent/base/log.h"

namespace nodepilot {

Kubernetes::Kubernetes(KubernetesOptions options, CgroupRoot root, const std::function<Time()>& now)
    : options_(std::move(options)),
      client_(options_, now),
      lists_(client_, options_.node_name, now,
             [this](std::function<void()> job) { boost::asio::post(thread_, std::move(job)); }),
      finder_(lists_, options_.finder, now),
      attestor_(finder_, std::move(root)) {
  if (options_.skip_verify) {
    log::warn(
        "THE KUBELET IS NOT PROVEN (attestors.kubernetes.skip_verify): whoever answers in "
        "its place gets our token and decides which pod a caller is",
        {{"kubelet", options_.kubelet.str()}});
  }
  if (options_.node_name.empty()) {
    log::info("the node's name is not known: lists of other nodes' pods are not told apart",
              {{"set", "attestors.kubernetes.node_name or the environment's MY_NODE_NAME"}});
  }
}

Kubernetes::~Kubernetes() {
  client_.stop();
  thread_.join();
}

}  // namespace nodepilot
