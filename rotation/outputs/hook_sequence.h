// Runs an output's hooks after each new set: in order, each until it succeeds or its tries are used
// up. A newer set starts over, and nothing waits for an old one's hooks.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/workers.h"
#include "rotation/outputs/hooks.h"

namespace nodepilot {

// Thread: loop; the hooks run on workers.
class HookSequence {
 public:
  // All references outlive it and every job already given to `workers`. `on_done` runs when every
  // hook has had its turn for the newest set; error() tells how that went.
  HookSequence(Clock& clock, Workers& workers, HookRunner& runner, std::vector<Hook> hooks,
               HookContext context, std::function<void()> on_done);

  // There is a new set.
  void begin();

  // What is wrong with the first hook that failed last time it was tried; empty if none did.
  std::optional<Error> error() const;

 private:
  void run_next();
  void finish(const expected<void>& done);
  void heed_failure(const Error& error);

  Clock& clock_;
  Workers& workers_;
  HookRunner& runner_;
  const std::vector<Hook> hooks_;
  const HookContext context_;
  const std::function<void()> on_done_;

  std::vector<std::optional<Error>> errors_;  // by hook
  std::size_t position_ = 0;                  // of the hook whose turn it is
  int tried_ = 0;                             // how often, for this set
  bool is_running_ = false;
  bool begins_anew_ = false;  // once what runs is done
  Alarm retry_;
  std::shared_ptr<HookSequence*> self_;  // completions hold it weakly
};

}  // namespace nodepilot
