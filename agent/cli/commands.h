// The commands. Each prints its result on stdout and its errors on stderr. Thread: main.
#pragma once

#include <string_view>

#include "agent/cli/command_line.h"
#include "agent/cli/exit_code.h"

namespace nodepilot {

ExitCode execute(const RunOptions& options);
ExitCode execute(const ValidateOptions& options);
ExitCode execute(const StatusOptions& options);
ExitCode execute(const HealthOptions& options);
ExitCode execute(const DescribeOptions& options);
ExitCode execute(const ExplainOptions& options);
ExitCode execute(const RotateOptions& options);
ExitCode execute(const FetchX509Options& options);
ExitCode execute(const BundleShowOptions& options);
ExitCode execute(const BundleDiffOptions& options);
ExitCode execute(const RulesTestOptions& options);
ExitCode execute(const RulesImportOptions& options);
ExitCode execute(const EnvoyBootstrapOptions& options);
ExitCode execute(const MeshExplainOptions& options);
ExitCode execute(const MeshStatusOptions& options);
ExitCode execute(const VersionOptions& options);

// `text` on stdout; kFailed if it cannot be written (a full disk behind a redirection), else
// `code`.
ExitCode print(std::string_view text, ExitCode code = ExitCode::kOk);

// "nodepilot: MESSAGE" on stderr, fit for a terminal; yields the exit code that `error` calls for.
ExitCode report(const Error& error);
// The same with an exit code of the caller's.
ExitCode report(std::string_view message, ExitCode code);

}  // namespace nodepilot
