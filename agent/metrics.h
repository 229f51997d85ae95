// What Prometheus reads (docs/metrics.md): collected when it asks, from what there is then. So the
// series of an identity end with it.
// Thread: loop.
#pragma once

#include <string>

#include "agent/admin.h"

namespace nodepilot {

struct MetricsOptions {
  bool per_identity = true;  // with series for each SPIFFE ID
  // At most for so many: those that failed last first, then in the order of their IDs. How many are
  // left out is a metric.
  std::size_t max_identities = 1000;
};

// In the text format, version 0.0.4. No key, token or error's text is in it.
std::string metrics_text(const AdminContext& context, const MetricsOptions& options = {});

}  // namespace nodepilot
