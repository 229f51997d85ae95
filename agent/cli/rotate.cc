#include <algorithm>

#include "agent/cli/admin_client.h"
#include "agent/cli/commands.h"
#include "agent/status_text.h"

namespace nodepilot {
namespace {

// For issuing, on top of the time to wait for streams: the CA may be slow.
constexpr Duration kIssueTimeout = std::chrono::seconds(30);

ExitCode outcome(const admin::v1::RotateResponse& response, bool waited) {
  const auto& all = response.rotations();
  auto failed = [](const auto& rotation) { return !rotation.error().empty(); };
  auto behind = [](const auto& rotation) {
    return rotation.pending() || rotation.streams_current() < rotation.streams();
  };
  if (std::any_of(all.begin(), all.end(), failed)) return ExitCode::kFailed;
  if (waited && std::any_of(all.begin(), all.end(), behind)) return ExitCode::kTimedOut;
  return ExitCode::kOk;
}

}  // namespace

ExitCode execute(const RotateOptions& options) {
  admin::v1::RotateRequest request;
  request.mutable_spiffe_ids()->Assign(options.ids.begin(), options.ids.end());
  request.set_all(options.all);
  request.set_wait_ms(options.wait.count());
  auto response = rotate(options.admin, request, kIssueTimeout + options.wait);
  if (!response) return report(response.error());
  bool waited = options.wait > Duration(0);
  return print(options.json ? rotation_json(*response) : rotation_text(*response, waited),
               outcome(*response, waited));
}

}  // namespace nodepilot
