// `GetPlaintext` of the admin API.
#pragma once

#include "agent/admin.h"

namespace nodepilot {

// Expects one request message. Thread: loop.
std::unique_ptr<CallHandler> plaintext_call(const AdminContext& context, Call& call);

}  // namespace nodepilot
