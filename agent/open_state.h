// The sealed state that the configuration asks for.
#pragma once

#include <memory>

#include "agent/base/loop.h"
#include "agent/config/config.h"
#include "rotation/state/sealed_state.h"

namespace nodepilot {

// The key of `config`, from its file or from $CREDENTIALS_DIRECTORY. Errors say how to make one.
// Thread: any; blocks on the disk.
expected<SealingKey> read_state_key(const SealedConfig& config);

// SealedState with its directory and a thread of its own, since a disk may hang. Thread: loop.
class StateKeeper {
 public:
  // Null with `state: memory`. If it `may_follow` another agent that keeps its state there, it
  // only reads until lead(true).
  static expected<std::unique_ptr<StateKeeper>> open(const Config& config, bool may_follow,
                                                     Loop& loop, Clock& clock, IdentityStore& store,
                                                     Rotator& rotator, Jitter jitter);

  // SealedState::restore().
  expected<void> restore() { return state_.restore(trust_domain_); }
  // SealedState::lead().
  void lead(bool leads) { state_.lead(leads); }
  std::optional<Error> failure() const { return state_.failure(); }

 private:
  StateKeeper(const TrustDomain& trust_domain, Loop& loop, Clock& clock,
              std::unique_ptr<StateFiles> files, SealingKey key, IdentityStore& store,
              Rotator& rotator, Jitter jitter)
      : trust_domain_(trust_domain),
        files_(std::move(files)),
        workers_(loop, 1),
        state_(clock, workers_, *files_, std::move(key), store, rotator, std::move(jitter)) {}

  const TrustDomain trust_domain_;
  const std::unique_ptr<StateFiles> files_;
  WorkerPool workers_;
  SealedState state_;
};

}  // namespace nodepilot
