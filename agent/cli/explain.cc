#include "agent/cli/admin_client.h"
#include "agent/cli/commands.h"
#include "agent/explain_text.h"

namespace nodepilot {
namespace {

// An attestor may wait for its own deadline.
constexpr Duration kTimeout = std::chrono::seconds(60);

}  // namespace

ExitCode execute(const ExplainOptions& options) {
  admin::v1::ExplainRequest request;
  if (options.pid != 0) {
    request.set_pid(options.pid);
  } else {
    request.set_ref(options.ref);
  }
  auto response = explain(options.admin, request, kTimeout);
  if (!response) return report(response.error());
  return print(options.json ? explain_json(*response) : explain_text(*response),
               is_granted(*response) ? ExitCode::kOk : ExitCode::kDenied);
}

ExitCode execute(const DescribeOptions& options) {
  admin::v1::DescribeRequest request;
  request.set_spiffe_id(options.id);
  auto response = describe(options.admin, request, kTimeout);
  if (!response) return report(response.error());
  return print(options.json ? describe_json(*response) : describe_text(*response));
}

}  // namespace nodepilot
