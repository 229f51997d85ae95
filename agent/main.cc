#include <variant>

#include "agent/cli/command_line.h"
#include "agent/cli/commands.h"
#include "agent/wipe_heap.h"
#include "rotation/pki/jose_heap.h"

int main(int argc, char** argv) {
  using nodepilot::ExitCode;
  if (!nodepilot::wipe_openssl_heap()) {
    nodepilot::report("OpenSSL has used the heap before it could be made to wipe it",
                      ExitCode::kFailed);
    return static_cast<int>(ExitCode::kFailed);
  }
  nodepilot::share_openssl_heap_with_jose();
  auto command = nodepilot::parse_command_line(argc, argv);
  if (!command) return static_cast<int>(command.error());
  auto code = std::visit([](const auto& options) { return nodepilot::execute(options); }, *command);
  return static_cast<int>(code);
}
