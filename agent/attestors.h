// The attestors that the configuration asks for.
#pragma once

#include <memory>
#include <vector>

#include "agent/config.h"
#include "attest/attest.h"

namespace nodepilot {

// Immutable. Thread: any.
class ConfiguredAttestors {
 public:
  explicit ConfiguredAttestors(const Config& config);

  // Owned by this.
  Attestors all() const;

 private:
  std::vector<std::unique_ptr<const Attestor>> attestors_;
};

}  // namespace nodepilot
