#include "agent/cli/admin_client.h"
#include "agent/cli/commands.h"
#include "agent/status_text.h"

namespace nodepilot {
namespace {

constexpr Duration kTimeout = std::chrono::seconds(5);

}  // namespace

ExitCode execute(const StatusOptions& options) {
  auto status = get_status(options.admin, kTimeout);
  if (!status) return report(status.error());
  return print(options.json ? status_json(*status) : status_table(*status));
}

ExitCode execute(const HealthOptions& options) {
  auto status = get_status(options.admin, kTimeout);
  if (!status) return report(status.error());
  std::string why = why_not_ready(*status);
  if (why.empty()) return print("ready\n");
  return print("not ready: " + why + "\n", ExitCode::kLimitCrossed);
}

}  // namespace nodepilot
