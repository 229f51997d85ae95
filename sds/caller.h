// Finds out, for a call, who is calling. Shared by every API of the public socket.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/duration_counts.h"
#include "agent/base/workers.h"
#include "attest/attest.h"

namespace nodepilot {

// What one attestor has done since the agent's start.
struct AttestorCounts {
  std::uint64_t succeeded = 0;
  std::uint64_t failed = 0;
  DurationCounts took{};
};

// Thread: loop; attestors run on workers, unless all of them are quick. Who has to wait for an
// attestor waits on an alarm, not on a worker: it holds up nobody.
class CallerIdentifier {
 public:
  using Done = std::function<void(const Attestation&)>;

  // The references outlive it; the attestors also outlive every job given to `workers`.
  CallerIdentifier(Clock& clock, Workers& workers, Attestors attestors);
  CallerIdentifier(const CallerIdentifier&) = delete;
  CallerIdentifier& operator=(const CallerIdentifier&) = delete;
  virtual ~CallerIdentifier() = default;

  // `done` runs on the loop with what attest() found, before this returns if all attestors are
  // quick and know at once. Asks again while they have to be waited for, as long as `interest` and
  // the process live. `done` must cope with a call that is over.
  virtual void identify(const std::shared_ptr<const Peer>& peer, std::weak_ptr<const void> interest,
                        Done done);

  // By the attestor's name.
  const std::map<std::string, AttestorCounts>& counts() const { return counts_; }

 private:
  struct Asker {
    std::weak_ptr<const void> interest;
    Done done;
  };
  using Askers = std::vector<Asker>;
  // The calls of one connection wait together.
  struct Waiting {
    Askers askers;
    std::unique_ptr<Alarm> again;
  };
  using PeerPtr = std::shared_ptr<const Peer>;

  void ask(const PeerPtr& peer, Askers askers);
  void hear(const PeerPtr& peer, Askers askers, const Attestation& found);
  void wait(const PeerPtr& peer, Askers askers, Duration pause);
  void ask_again(const PeerPtr& peer);
  void ask_all_again();

  Clock& clock_;
  Workers& workers_;
  const Attestors attestors_;
  const bool quick_;

  std::map<std::string, AttestorCounts> counts_;
  std::map<PeerPtr, Waiting> waiting_;
  std::shared_ptr<void> clock_steps_;
  std::shared_ptr<CallerIdentifier*> self_;  // answers may come back after our end
};

}  // namespace nodepilot
