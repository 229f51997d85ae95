// What is held for whom: the SVID of each entry, the trust bundle, and the streams that watch them.
// Passive: the Rotator fills it, streams read it. Keeps the promise that a valid SVID is never
// replaced by something worse, nor withdrawn for a passing fault.
#pragma once

#include <sys/types.h>

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/clock.h"
#include "rotation/workload_update.h"

namespace nodepilot {

class Subscription;

// Hears which entries are wanted. The Rotator is the one implementation. Thread: loop.
class Demand {
 public:
  virtual ~Demand() = default;
  // The first subscriber came, or a further one while nothing valid is held.
  virtual void wanted(const EntryPtr& entry) = 0;
  virtual void unwanted(const EntryPtr& entry) = 0;  // the last one left
};

// What a subscriber watches for.
enum class Interest {
  kSvids,    // demands SVIDs of its entries
  kBundles,  // only trust; SVIDs that happen to be held are shown, none is issued for it
};

// Who watches, as an operator is told; a pid of 0 stands for the agent itself.
struct Subscriber {
  pid_t pid = 0;
  uid_t uid = 0;
  const char* api = "";  // "FetchX509SVID"; a literal
};

// One that demands the SVID of an entry.
struct SubscriberState {
  Subscriber who;
  bool sent = false;   // it was given an SVID
  std::string serial;  // of the one that it took last; empty if it has taken none
};

// One entry as an operator sees it.
struct EntryState {
  EntryPtr entry;
  SvidPtr svid;                     // may be null or expired
  std::optional<Error> failure;     // of the last issue, if it failed
  std::size_t subscribers = 0;      // callers entitled to it and connected
  std::size_t streams = 0;          // of those, the ones that were sent its SVID
  std::size_t streams_current = 0;  // of those, the ones that took the SVID held now
};

// Thread: loop.
class IdentityStore {
 public:
  IdentityStore(const Clock& clock, EntrySet entries);
  IdentityStore(const IdentityStore&) = delete;
  IdentityStore& operator=(const IdentityStore&) = delete;
  ~IdentityStore();

  // `demand` outlives the store's use of it; set once, before the first subscribe().
  void set_demand(Demand* demand) { demand_ = demand; }

  // What entries().match() gives, and of identities() the very ones.
  std::vector<EntryPtr> match(const Selectors& selectors) const;

  // A caller with `selectors` watches. What it may see now is the subscription's latest();
  // on_update runs for every later change of that, from inside the call that made the change. It
  // may subscribe and drop subscriptions, its own too.
  std::unique_ptr<Subscription> subscribe(const Selectors& selectors,
                                          std::function<void(const UpdatePtr&)> on_update,
                                          Interest interest = Interest::kSvids,
                                          const Subscriber& who = {});
  // The same for one that is to see just these entries of match() or identities().
  std::unique_ptr<Subscription> subscribe_to(std::vector<EntryPtr> entries,
                                             std::function<void(const UpdatePtr&)> on_update,
                                             Interest interest = Interest::kSvids,
                                             const Subscriber& who = {});

  // Makes room for what is held for an identity that a template gives, until it is evicted.
  void add(const EntryPtr& entry);

  // A verified SVID for the entry. Refused, and what is held stays: one that is not valid now, and
  // one that ends before the valid one held when most of its own life is already gone. A freshly
  // issued one may end sooner: the CA was told to give shorter lives, or is near its own end.
  expected<void> install(const std::string& entry_id, SvidPtr svid);
  // The last try to issue failed; what is held stays.
  void report_failure(const std::string& entry_id, Error error);
  // An issue is under way or will be at once: earlier failures are no answer to who comes now.
  void expect(const std::string& entry_id);
  // Drops SVIDs that have ended; streams that lose one get an update.
  void drop_expired();
  // When drop_expired() has something to drop; empty if nothing is held.
  std::optional<Time> next_expiry() const;
  // Forgets the SVID of an entry that nobody watches, and the entry if a template gave it.
  void evict(const std::string& entry_id);
  // Replaces our trust domain's bundle; equal content is no event.
  void set_bundle(BundlePtr bundle);
  // The same for a foreign trust domain. Null forgets it: whoever federates with it loses it. An
  // empty bundle is kept and shown, for it says that nobody there is to be trusted any more.
  void set_federated(const TrustDomain& trust_domain, BundlePtr bundle);

  BundlePtr bundle() const { return bundle_; }
  // Since when streams are told the roots of bundle().
  Time roots_since() const { return roots_since_; }
  // The newest bundle whose roots every stream has taken that was told roots; bundle() itself, but
  // for a while after a change. Before a leaf under other roots is shown to anybody, these must be
  // everywhere: peers would refuse it.
  BundlePtr common_bundle() const { return common_bundle_; }
  // Waits no longer for the streams that have not taken the roots of bundle(): how many these are.
  std::size_t settle_roots();
  const std::map<TrustDomain, BundlePtr>& federated() const { return federated_; }
  // The known bundles of the trust domains that the entries federate with.
  std::map<TrustDomain, BundlePtr> federated_with(const std::vector<EntryPtr>& entries) const;
  const EntrySet& entries() const { return entries_; }
  // The fixed ones in their order, then those that templates have given and that are in use.
  std::vector<EntryPtr> identities() const;
  // Of identities(); null if there is none.
  EntryPtr find(const std::string& entry_id) const;
  // May have ended since.
  SvidPtr svid(const std::string& entry_id) const;
  // Whether an SVID that is valid now is held.
  bool is_supplied(const std::string& entry_id) const;
  bool is_wanted(const std::string& entry_id) const;
  EntryState state(const std::string& entry_id) const;
  // Those that demand its SVID.
  std::vector<SubscriberState> subscribers_of(const std::string& entry_id) const;

  // How many subscriptions there are of each API, but the agent's own.
  std::map<std::string, std::size_t> subscriptions_by_api() const;

  // Calls `listener` after every install, failure, acknowledgement or departure, until the
  // returned handle is destroyed.
  std::shared_ptr<void> on_change(std::function<void()> listener);
  // Calls `listener` with the entry's ID before an SVID that was installed or dropped is shown to
  // anybody, until the returned handle is destroyed. It must not change the store.
  std::shared_ptr<void> on_svid(std::function<void(const std::string& entry_id)> listener);

 private:
  friend class Subscription;
  struct Slot {
    EntryPtr entry;
    SvidPtr svid;
    std::optional<Error> failure;
    bool tried = false;  // an issue has ended since it was wanted
    std::set<Subscription*> subscribers;
    // Counted as they come: `rotate --wait` asks after each acknowledgement of thousands.
    std::string serial;  // of `svid`
    std::size_t streams = 0;
    std::size_t streams_current = 0;

    bool has(const std::string& taken) const { return svid && taken == serial; }
  };

  UpdatePtr make_update(const std::vector<EntryPtr>& entries) const;
  // Gives each its new update, if that differs from its latest. The callbacks may change the set.
  void refresh(const std::set<Subscription*>& subscriptions);
  void demand_svids(Subscription& subscription);
  void hold(Slot& slot, SvidPtr svid);
  void unsubscribe(Subscription& subscription);
  void changed();
  bool is_behind(const Subscription& subscription) const;
  void recount_behind();
  void note_roots(Subscription& subscription, const BundlePtr& taken);

  const Clock& clock_;
  const EntrySet entries_;
  Demand* demand_ = nullptr;
  std::map<std::string, Slot> slots_;                 // by entry id; one for each of identities()
  std::set<std::pair<Time, std::string>> by_expiry_;  // the slots that hold an SVID
  std::set<Subscription*> subscriptions_;
  BundlePtr bundle_;
  BundlePtr common_bundle_;
  Time roots_since_{};
  std::size_t behind_ = 0;  // streams that were told roots and have not taken those of bundle_
  std::map<TrustDomain, BundlePtr> federated_;
  std::list<std::weak_ptr<std::function<void()>>> listeners_;
  std::list<std::weak_ptr<std::function<void(const std::string&)>>> svid_listeners_;
};

// One stream's view. Destruction ends it. Must not outlive the store. Thread: loop.
class Subscription {
 public:
  ~Subscription();
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;

  const UpdatePtr& latest() const { return latest_; }

  // The stream tells what became of an SVID, for `status` and `rotate --wait`.
  void sent(const std::string& entry_id);                             // given to the client
  void took(const std::string& entry_id, const std::string& serial);  // the client has it
  // The same of the roots of our trust domain.
  void sent_roots();
  void took_roots(const BundlePtr& bundle);

 private:
  friend class IdentityStore;
  Subscription(IdentityStore& store, std::vector<EntryPtr> entries, Interest interest,
               const Subscriber& who)
      : store_(store), entries_(std::move(entries)), interest_(interest), who_(who) {}

  IdentityStore& store_;
  const std::vector<EntryPtr> entries_;
  const Interest interest_;
  const Subscriber who_;
  std::function<void(const UpdatePtr&)> on_update_;  // empty until subscribe() is done
  UpdatePtr latest_;
  std::map<std::string, std::string> taken_;  // entry id -> serial that the client took, or ""
  bool told_roots_ = false;
  BundlePtr taken_roots_;
};

}  // namespace nodepilot
