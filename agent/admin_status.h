// What several calls of the admin API tell alike. Times are Unix seconds.
// Thread: loop.
#pragma once

#include "agent/admin.h"
#include "proto/nodepilot/admin.pb.h"

namespace nodepilot {

std::int64_t to_unix(Time time);
admin::v1::GetStatusResponse agent_status(const AdminContext& context);
// Only what tells whether new callers are served; nothing in it is an operator's alone.
admin::v1::GetStatusResponse readiness_status(const AdminContext& context);
void fill_identity(const AdminContext& context, const EntryState& held,
                   admin::v1::IdentityStatus& out);
void fill_output(const OutputStatus& status, admin::v1::OutputStatus& out);

}  // namespace nodepilot
