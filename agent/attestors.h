// The attestors that the configuration asks for.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "agent/config.h"
#include "agent/kubernetes.h"
#include "attest/attest.h"

namespace nodepilot {

// Thread: built and destroyed on one; the attestors are for any.
class ConfiguredAttestors {
 public:
  // `now` is called from any thread.
  ConfiguredAttestors(const Config& config, const std::function<Time()>& now);

  // Owned by this.
  Attestors all() const;

 private:
  std::unique_ptr<const Kubernetes> kubernetes_;
  std::vector<std::unique_ptr<const Attestor>> attestors_;
};

}  // namespace nodepilot
