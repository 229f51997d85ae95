#include <cerrno>
#include <cstdio>

#include "agent/cli/commands.h"
#include "agent/cli_text.h"

namespace nodepilot {

ExitCode print(std::string_view text, ExitCode code) {
  bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (written && std::fflush(stdout) == 0) return code;
  return report(fail_errno("write to stdout", errno).value().message, ExitCode::kFailed);
}

ExitCode report(const Error& error) { return report(error.message, exit_code_of(error.code)); }

ExitCode report(std::string_view message, ExitCode code) {
  std::string line = "nodepilot: " + printable(message) + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
  return code;
}

}  // namespace nodepilot
