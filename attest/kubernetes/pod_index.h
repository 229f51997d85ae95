// Which container belongs to which pod, and what selectors both have: one answer of the kubelet,
// reduced to what attestation needs.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/base/result.h"
#include "agent/base/selector.h"
#include "attest/kubernetes/pod.h"

namespace nodepilot {

// Holds about a kilobyte for each pod, most of it the text of its selectors.
// Thread: one while it is filled; any after that.
class PodIndex {
 public:
  void add(const Pod& pod);

  // The selectors of a container that runs in a pod of this UID, dashed or not as its cgroup has
  // it. Empty if the container is not listed. kFailedPrecondition if it is listed for another pod,
  // or twice: then nobody can say whose it is.
  expected<std::optional<Selectors>> find(std::string_view pod_uid,
                                          const std::string& container_id) const;

  std::size_t pods() const { return pods_.size(); }

 private:
  struct Listed {
    std::string uid;  // as it stands in the list
    std::string config_hash;
    std::string selectors;  // one a line
  };
  struct Container {
    std::size_t pod = 0;  // index in pods_
    std::string selectors{};
    bool is_ambiguous = false;
  };

  void add(const std::vector<PodContainer>& containers);

  std::vector<Listed> pods_;
  std::unordered_map<std::string, Container> containers_;  // by ID
};

}  // namespace nodepilot
