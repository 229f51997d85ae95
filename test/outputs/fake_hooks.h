// Hooks that only write down that they ran, and fail when told to.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "rotation/outputs/hooks.h"

namespace nodepilot {

// Thread: that of the test.
class FakeHooks : public HookRunner {
 public:
  expected<void> run(const Hook& hook, const HookContext& context) override {
    std::string name = describe(hook);
    runs.push_back(name);
    contexts.push_back(context);
    auto failing = failures.find(name);
    if (failing == failures.end() || failing->second-- <= 0) return {};
    return fail(Code::kInternal, "told to fail");
  }

  std::vector<std::string> runs;
  std::vector<HookContext> contexts;
  std::map<std::string, int> failures;  // how often each is yet to fail
};

}  // namespace nodepilot
