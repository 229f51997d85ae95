// Tells programs of a new set of files: by a signal, through systemd, or by a program of the
// operator's.
#pragma once

#include <filesystem>
#include <string>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "rotation/outputs/output.h"

namespace nodepilot {

// Which set it is about; programs find it in their environment.
struct HookContext {
  std::string spiffe_id;            // NODEPILOT_SPIFFE_ID
  std::filesystem::path directory;  // NODEPILOT_DIRECTORY
};

class HookRunner {
 public:
  virtual ~HookRunner() = default;
  // One try. Blocks until it is done or hook.timeout has passed. Thread: worker.
  virtual expected<void> run(const Hook& hook, const HookContext& context) = 0;
};

// A flag that poll() can wait for. Thread: any.
class StopFlag {
 public:
  StopFlag();
  void raise();
  int fd() const { return event_.get(); }  // readable once raised

 private:
  Fd event_;
};

// The real ones. Thread: any.
class SystemHooks : public HookRunner {
 public:
  expected<void> run(const Hook& hook, const HookContext& context) override;
  // What runs, and what is yet to run, ends at once as kCancelled.
  void stop() { stop_.raise(); }

 private:
  StopFlag stop_;
};

// Sends the signal. The pid file must be a regular file that only its owner may write to. If the
// owner is neither root nor this user, it can name only a process of its own. Pids 0 and 1, and
// this process, are refused; so is a process of another executable, if one is asked for.
expected<void> send_signal(const SignalHook& hook);

// Runs argv with a small environment (PATH and the context), no standard input, no descriptors,
// signals and ambient capabilities of ours, in a process group of its own, which is killed at the
// timeout. An exit status other than 0 is an error with the first bytes of its output.
expected<void> run_program(const ExecHook& hook, const HookContext& context, Duration timeout,
                           const StopFlag& stop);

// Has the system's manager reload the unit, and waits for the end of that job. kUnavailable without
// a system bus. A bus that is there but hangs may delay a stop by five seconds.
expected<void> reload_unit(const ReloadHook& hook, Duration timeout, const StopFlag& stop);

}  // namespace nodepilot
