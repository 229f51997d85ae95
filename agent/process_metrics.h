// What every Prometheus client tells of its process, under the names that they share.
// Thread: any.
#pragma once

#include "agent/metric_families.h"

namespace nodepilot {

// `started_at`: in seconds since 1970. What the kernel does not tell is left out.
void add_process_metrics(std::int64_t started_at, MetricFamilies& out);

}  // namespace nodepilot
