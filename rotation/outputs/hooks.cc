#include "rotation/outputs/hooks.h"

#include <sys/eventfd.h>

#include <cstdint>

namespace nodepilot {

StopFlag::StopFlag() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void StopFlag::raise() {
  const std::uint64_t one = 1;
  [[maybe_unused]] ssize_t written = ::write(event_.get(), &one, sizeof(one));
}

expected<void> SystemHooks::run(const Hook& hook, const HookContext& context) {
  if (const auto* signal = std::get_if<SignalHook>(&hook.action)) return send_signal(*signal);
  if (const auto* reload = std::get_if<ReloadHook>(&hook.action)) {
    return reload_unit(*reload, hook.timeout, stop_);
  }
  return run_program(std::get<ExecHook>(hook.action), context, hook.timeout, stop_);
}

}  // namespace nodepilot
