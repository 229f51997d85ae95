// What `nodepilot explain` and `nodepilot describe` print.
// Thread: any.
#pragma once

#include <string>

#include "proto/nodepilot/admin.pb.h"

namespace nodepilot {

// Whether the process would get an identity now.
bool is_granted(const admin::v1::ExplainResponse& response);

// For people: who it is, what was found, what each rule says, and what to add to the configuration.
std::string explain_text(const admin::v1::ExplainResponse& response);
// For programs: "version": 1, stable keys, times in RFC 3339 or null.
std::string explain_json(const admin::v1::ExplainResponse& response);

std::string describe_text(const admin::v1::DescribeResponse& response);
std::string describe_json(const admin::v1::DescribeResponse& response);

}  // namespace nodepilot
