// Asks the admin interface of an Envoy. Thread: any; blocks, five seconds at most.
#pragma once

#include <string>

#include "agent/base/result.h"
#include "agent/mesh/workload.h"

namespace nodepilot {

// The body of a GET, 16 MiB at most. kUnavailable if nobody answers.
expected<std::string> get_from_admin(const mesh::AdminAddress& admin, const std::string& target);

}  // namespace nodepilot
