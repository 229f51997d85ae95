// Keeps what the store holds on the disk, sealed, so that an agent that was killed, or a node that
// was restarted while its CA is away, serves it again at once.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/workers.h"
#include "rotation/identity_store.h"
#include "rotation/rotation_schedule.h"
#include "rotation/rotator.h"
#include "rotation/state/saved_state.h"

namespace nodepilot {

// A disk that fails costs nobody anything that is in memory: it is tried again with backoff.
// Thread: loop; the disk is written on workers, one file at a time.
class SealedState {
 public:
  // The references outlive it and every job already given to `workers`.
  SealedState(Clock& clock, Workers& workers, StateFiles& files, SealingKey key,
              IdentityStore& store, Rotator& rotator, Jitter jitter);

  // Serves what was saved, as far as it is verified and still asked for by the configuration; from
  // then on saves what changes. What cannot be verified yet, since the clock is not set or the
  // bundle is lost, waits for that. Once, before the rotator starts; blocks on the disk.
  // kFailedPrecondition if the state is sealed under another key.
  expected<void> restore(const TrustDomain& trust_domain);

  // Whether we are the one that writes, as we are to begin with. Who does not lead goes on serving
  // from memory; who leads (again) writes all that it holds.
  void lead(bool leads);

  // Why the disk does not hold what memory holds; empty if all is well.
  std::optional<Error> failure() const;

 private:
  struct Held {
    EntryPtr entry;
    SvidPtr svid;
    Time since{};
  };
  // What a file shall hold, a bundle or an SVID; with neither it shall be gone.
  struct Content {
    BundlePtr bundle;
    Held held;
  };

  void restore_waiting();
  // Whether it is settled: served, or never to be.
  bool restore_one(const SavedSvid& saved);
  void give_up(const Entry& entry, const std::string& why);

  void svid_changed(const std::string& entry_id);
  void store_changed();
  void enqueue(const std::string& file);
  void push(const std::string& file);
  void write_next();
  Content content_of(const std::string& file);
  static std::optional<SecretBytes> encode(const Content& content);
  void finish(const std::string& file, const expected<void>& result);

  Clock& clock_;
  Workers& workers_;
  StateFiles& files_;
  const std::shared_ptr<const SealingKey> key_;  // shared with the jobs
  IdentityStore& store_;
  Rotator& rotator_;

  std::map<std::string, Held> held_;  // by file; what the disk holds or is to hold
  std::vector<SavedSvid> waiting_;
  std::map<std::string, Error> refused_;  // by file
  BundlePtr bundle_;                      // the last one that was written or is to be
  std::deque<std::string> queue_;         // files that differ from what is held
  std::set<std::string> queued_;          // the same
  bool leads_ = true;
  bool is_writing_ = false;
  RotationSchedule schedule_;  // with one plan, while the disk fails
  Alarm retry_;
  std::optional<Error> error_;
  std::optional<Time> told_at_;  // when the log last told of it
  std::shared_ptr<void> svid_watch_;
  std::shared_ptr<void> store_watch_;
  std::shared_ptr<void> step_watch_;
  std::shared_ptr<SealedState*> self_;  // completions hold it weakly
};

}  // namespace nodepilot
