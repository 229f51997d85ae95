#include "rotation/outputs/hook_sequence.h"

#include <algorithm>
#include <utility>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

constexpr Duration kLongestDelay = std::chrono::minutes(5);

// Before the next try, when `tried` have failed.
Duration delay_after(const Hook& hook, int tried) {
  return std::min(hook.delay * (std::int64_t{1} << std::min(tried - 1, 20)), kLongestDelay);
}

}  // namespace

HookSequence::HookSequence(Clock& clock, Workers& workers, HookRunner& runner,
                           std::vector<Hook> hooks, HookContext context,
                           std::function<void()> on_done)
    : clock_(clock),
      workers_(workers),
      runner_(runner),
      hooks_(std::move(hooks)),
      context_(std::move(context)),
      on_done_(std::move(on_done)),
      errors_(hooks_.size()),
      position_(hooks_.size()),
      retry_(clock, [this] { run_next(); }),
      self_(std::make_shared<HookSequence*>(this)) {}

void HookSequence::begin() {
  if (is_running_) {
    begins_anew_ = true;
    return;
  }
  retry_.clear();
  position_ = 0;
  tried_ = 0;
  run_next();
}

std::optional<Error> HookSequence::error() const {
  auto failed =
      std::find_if(errors_.begin(), errors_.end(), [](const auto& e) { return e.has_value(); });
  return failed == errors_.end() ? std::nullopt : *failed;
}

void HookSequence::run_next() {
  if (position_ == hooks_.size()) return on_done_();
  is_running_ = true;
  // By value: we may be gone before the hook is done. The runner is not.
  workers_.run([runner = &runner_, hook = hooks_[position_],
                context = context_] { return runner->run(hook, context); },
               [weak = std::weak_ptr(self_)](const expected<void>& done) {
                 if (auto self = weak.lock()) (*self)->finish(done);
               });
}

void HookSequence::finish(const expected<void>& done) {
  is_running_ = false;
  const Hook& hook = hooks_[position_];
  if (done) {
    errors_[position_].reset();
    log::info("hook ran", {{"hook", describe(hook)}, {"directory", context_.directory.string()}});
  } else {
    errors_[position_] = Error{done.error().code, describe(hook) + ": " + done.error().message};
  }
  if (std::exchange(begins_anew_, false)) return begin();
  if (!done) return heed_failure(done.error());
  ++position_;
  tried_ = 0;
  run_next();
}

void HookSequence::heed_failure(const Error& error) {
  const Hook& hook = hooks_[position_];
  bool is_last = ++tried_ >= hook.tries;
  log::warn("hook failed", {{"hook", describe(hook)},
                            {"directory", context_.directory.string()},
                            {"try", tried_},
                            {"of", hook.tries},
                            {"error", error.message}});
  if (!is_last) {
    retry_.set(clock_.now() + delay_after(hook, tried_));
    return;
  }
  // The programs after it are to learn of the set all the same.
  ++position_;
  tried_ = 0;
  run_next();
}

}  // namespace nodepilot
