#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/base/files.h"
#include "agent/cli/commands.h"
#include "agent/cli/config_errors.h"
#include "agent/cli/dev.h"

namespace nodepilot {
namespace fs = std::filesystem;
namespace {

// With the directories above it. One that exists is the operator's; the listener looks at it.
expected<void> create_missing(const fs::path& directory, mode_t mode) {
  std::error_code error;
  if (directory.empty() || fs::exists(directory, error)) return {};
  TRY(create_missing(directory.parent_path(), 0755));
  return ensure_directory(directory, mode);
}

expected<void> make_directories(const Config& config) {
  TRY(create_missing(config.listen.path.parent_path(), 0755));
  TRY(create_missing(config.admin.path.parent_path(), 0750));
  TRY(create_missing(config.state_dir.parent_path(), 0755));
  return ensure_directory(config.state_dir, 0700);
}

// A root that serves others is easily started where they cannot come in.
void warn_if_closed_to_others(const fs::path& socket) {
  for (fs::path folder = socket.parent_path(); folder.has_relative_path();
       folder = folder.parent_path()) {
    struct stat status {};
    if (::stat(folder.c_str(), &status) != 0 || (status.st_mode & S_IXOTH) != 0) continue;
    report("other users cannot reach " + socket.string() + ": chmod o+x " + folder.string(),
           ExitCode::kOk);
  }
}

std::string summary(const Config& config, bool dev) {
  std::string address = "unix://" + config.listen.path.string();
  std::string text = "nodepilot " NODEPILOT_VERSION " is ready\n";
  text += "trust domain  " + config.trust_domain.name() + "\n";
  text += "workloads     " + address + "\n";
  text += "admin         unix://" + config.admin.path.string() + "\n";
  text += "identities    " + std::to_string(config.entries.size()) + "\n";
  if (!dev) return text;
  for (const Entry& entry : config.entries) {
    text += "  " + entry.spiffe_id.str() + " ";
    for (const Selector& selector : entry.match) text += " " + selector.str();
    text += "\n";
  }
  text += "In another terminal:\n";
  text += "  export SPIFFE_ENDPOINT_SOCKET=" + address + "\n";
  text += "  export NODEPILOT_ADMIN_SOCKET=" + config.admin.path.string() + "\n";
  text += "  nodepilot fetch x509; nodepilot status\n";
  return text;
}

ExitCode serve(Config config, const RunOptions& options) {
  config.log_level = options.log_level.value_or(config.log_level);
  config.log_format = options.log_format.value_or(config.log_format);
  auto done = run_agent(config, {.take_over = options.take_over,
                                 .on_ready = [&] { print(summary(config, options.dev)); }});
  if (!done) return report(done.error().message, ExitCode::kFailed);
  return ExitCode::kOk;
}

}  // namespace

ExitCode execute(const RunOptions& options) {
  if (options.dev) {
    auto config = dev_config_of(options);
    if (!config) return report(config.error().message, ExitCode::kUsage);
    auto made = make_dev_directories(*config, options);
    if (!made) return report(made.error().message, ExitCode::kFailed);
    if (::geteuid() == 0) warn_if_closed_to_others(config->listen.path);
    return serve(*std::move(config), options);
  }
  auto config = load_config(options.config);
  if (!config) return report(config.error());
  auto made = make_directories(*config);
  if (!made) return report(made.error().message, ExitCode::kFailed);
  return serve(*std::move(config), options);
}

}  // namespace nodepilot
