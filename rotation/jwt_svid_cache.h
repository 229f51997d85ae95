// JWT-SVIDs on demand: signed when first asked for, then handed out until half of their life has
// passed.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/workers.h"
#include "rotation/identity_store.h"
#include "rotation/jwt_signer.h"

namespace nodepilot {

// Thread: loop; the signer is called on workers.
class JwtSvidCache {
 public:
  using Audience = std::vector<std::string>;
  using Done = std::function<void(const expected<JwtSvid>&)>;

  // All references outlive it and every job already given to `workers`. At most `max_kept` tokens
  // are kept; beyond that the one that ends first goes. One whose audience makes it unusually long
  // is not kept: callers choose audiences, and must not fill memory with them.
  JwtSvidCache(const Clock& clock, Workers& workers, JwtSigner& signer, const IdentityStore& store,
               std::size_t max_kept = 2'000);

  // A token of the entry for every value of `audience`, which is not empty; their order does not
  // matter. Equal questions that come while one is being signed share the answer. If signing
  // fails, a kept token that is still valid is the answer. `done` runs once, perhaps at once,
  // unless the cache ends before.
  void fetch(const EntryPtr& entry, Audience audience, Done done);

  std::size_t kept() const { return kept_.size(); }

 private:
  using Key = std::pair<std::string, Audience>;  // entry id, sorted values

  void sign(const EntryPtr& entry, const Key& key);
  void finish(const Key& key, const expected<JwtSvid>& result);
  void keep(const Key& key, const JwtSvid& svid);
  void drop(const Key& key);
  const JwtSvid* valid(const Key& key) const;

  const Clock& clock_;
  Workers& workers_;
  JwtSigner& signer_;
  const IdentityStore& store_;
  const std::size_t max_kept_;

  std::map<Key, JwtSvid> kept_;
  std::set<std::pair<Time, Key>> by_expiry_;  // of kept_
  std::map<Key, std::vector<Done>> waiting_;  // being signed
  std::shared_ptr<JwtSvidCache*> self_;       // completions hold it weakly
};

}  // namespace nodepilot
