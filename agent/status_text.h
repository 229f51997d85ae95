// What `nodepilot status` and `nodepilot rotate` print.
// Thread: any.
#pragma once

#include <string>

#include "proto/nodepilot/admin.pb.h"

namespace nodepilot {

// For people: agent, CA and bundle, then a line for each identity, the one in most need first.
std::string status_table(const admin::v1::GetStatusResponse& status);
// For programs: "version": 1, stable keys, times in RFC 3339 or null.
std::string status_json(const admin::v1::GetStatusResponse& status);

// Why new callers are not, or not yet, served by this agent; empty if they are.
std::string why_not_ready(const admin::v1::GetStatusResponse& status);

// One line for each identity. `waited`: whether the answer waited for the streams.
std::string rotation_text(const admin::v1::RotateResponse& response, bool waited);
std::string rotation_json(const admin::v1::RotateResponse& response);

}  // namespace nodepilot
