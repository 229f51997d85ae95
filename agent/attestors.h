// The attestors that the configuration asks for.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "agent/config/config.h"
#include "agent/kubernetes.h"
#include "attest/attest.h"

namespace nodepilot {

// Thread: built and destroyed on one; the attestors are for any.
class ConfiguredAttestors {
 public:
  // `now` is called from any thread. kFailedPrecondition if we are not in attestors.host_cgroup.
  static expected<ConfiguredAttestors> open(const Config& config, const std::function<Time()>& now);

  // Owned by this.
  Attestors all() const;

 private:
  ConfiguredAttestors() = default;

  std::unique_ptr<const Kubernetes> kubernetes_;
  std::vector<std::unique_ptr<const Attestor>> attestors_;
};

}  // namespace nodepilot
