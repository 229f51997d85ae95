#include "rotation/outputs/output.h"

#include <string.h>

namespace nodepilot {
namespace {

struct Description {
  std::string operator()(const SignalHook& hook) const {
    return "signal " + signal_name(hook.signal);
  }
  std::string operator()(const ReloadHook& hook) const { return "reload " + hook.unit; }
  std::string operator()(const ExecHook& hook) const { return "exec " + hook.argv.front(); }
};

}  // namespace

std::string describe(const Hook& hook) { return std::visit(Description(), hook.action); }

std::string signal_name(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name == nullptr ? std::to_string(signal) : std::string("SIG") + name;
}

}  // namespace nodepilot
