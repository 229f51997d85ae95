// `Explain` and `Describe` of the admin API.
#pragma once

#include "agent/admin.h"

namespace nodepilot {

// Each expects one request message. Thread: loop; the process asked about is attested like a
// caller.
std::unique_ptr<CallHandler> explain_call(const AdminContext& context, Call& call);
std::unique_ptr<CallHandler> describe_call(const AdminContext& context, Call& call);

}  // namespace nodepilot
