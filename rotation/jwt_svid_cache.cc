#include "rotation/jwt_svid_cache.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/base/log.h"
#include "rotation/pki/jwt_validation.h"

namespace nodepilot {
namespace {

// The CA's clock may run a little ahead of ours.
constexpr Duration kLeeway = std::chrono::minutes(1);
constexpr std::size_t kMaxKeptTokenBytes = std::size_t{4} * 1024;

// Whether the token is for every value; they are many only if a client wants to keep us busy, so
// they do not each cost a verification.
bool names_all(const nlohmann::json& aud, const std::vector<std::string>& audience) {
  if (aud.is_string()) return audience.size() == 1;
  std::set<std::string> named(aud.begin(), aud.end());
  return std::includes(named.begin(), named.end(), audience.begin(), audience.end());
}

// Signed, and found good by the rules that its receivers apply. Thread: worker.
expected<JwtSvid> sign_checked(JwtSigner& signer, const Entry& entry,
                               const std::vector<std::string>& audience, const BundlePtr& bundle,
                               const Clock& clock) {
  if (!bundle) return fail(Code::kUnavailable, "the CA has not told its trust bundle yet");
  JwtSvid svid = TRY(signer.sign_jwt(entry.spiffe_id, audience, entry.jwt_ttl));
  auto own_bundle = [&](const TrustDomain& trust_domain) {
    return trust_domain == bundle->trust_domain() ? bundle.get() : nullptr;
  };
  auto checked = validate_jwt_svid(svid.token, audience.front(), own_bundle, clock.now(), kLeeway);
  if (!checked) return fail_with("the CA's JWT-SVID", checked.error());
  if (checked->id != entry.spiffe_id) {
    return fail(Code::kInternal, "the CA's JWT-SVID is for " + checked->id.str() + " instead of " +
                                     entry.spiffe_id.str());
  }
  if (!names_all(checked->claims.at("aud"), audience)) {
    return fail(Code::kInternal, "the CA's JWT-SVID is not for every audience asked for");
  }
  return svid;
}

}  // namespace

JwtSvidCache::JwtSvidCache(const Clock& clock, Workers& workers, JwtSigner& signer,
                           const IdentityStore& store, std::size_t max_kept)
    : clock_(clock),
      workers_(workers),
      signer_(signer),
      store_(store),
      max_kept_(max_kept),
      self_(std::make_shared<JwtSvidCache*>(this)) {}

void JwtSvidCache::fetch(const EntryPtr& entry, Audience audience, Done done) {
  std::sort(audience.begin(), audience.end());
  audience.erase(std::unique(audience.begin(), audience.end()), audience.end());
  Key key(entry->id, std::move(audience));

  const JwtSvid* kept = valid(key);
  if (kept && clock_.now() - kept->issued_at < (kept->expires_at - kept->issued_at) / 2) {
    return done(*kept);
  }
  std::vector<Done>& waiting = waiting_[key];
  waiting.push_back(std::move(done));
  if (waiting.size() == 1) sign(entry, key);
}

void JwtSvidCache::sign(const EntryPtr& entry, const Key& key) {
  workers_.run(
      [&signer = signer_, &clock = clock_, entry, audience = key.second, bundle = store_.bundle()] {
        return sign_checked(signer, *entry, audience, bundle, clock);
      },
      [weak = std::weak_ptr<JwtSvidCache*>(self_), key](const expected<JwtSvid>& result) {
        if (auto self = weak.lock()) (*self)->finish(key, result);
      });
}

void JwtSvidCache::finish(const Key& key, const expected<JwtSvid>& result) {
  expected<JwtSvid> answer = result;
  if (result) {
    keep(key, *result);
  } else {
    log::warn("JWT-SVID not signed", {{"entry", key.first}, {"error", result.error().message}});
    if (const JwtSvid* kept = valid(key)) answer = *kept;
  }
  auto node = waiting_.extract(key);
  for (const Done& done : node.mapped()) done(answer);
}

void JwtSvidCache::keep(const Key& key, const JwtSvid& svid) {
  drop(key);
  if (svid.token.size() > kMaxKeptTokenBytes) return;
  kept_.emplace(key, svid);
  by_expiry_.emplace(svid.expires_at, key);
  while (kept_.size() > max_kept_ || by_expiry_.begin()->first <= clock_.now()) {
    drop(Key(by_expiry_.begin()->second));
    if (by_expiry_.empty()) return;
  }
}

void JwtSvidCache::drop(const Key& key) {
  auto kept = kept_.find(key);
  if (kept == kept_.end()) return;
  by_expiry_.erase({kept->second.expires_at, key});
  kept_.erase(kept);
}

const JwtSvid* JwtSvidCache::valid(const Key& key) const {
  auto kept = kept_.find(key);
  bool is_valid = kept != kept_.end() && clock_.now() < kept->second.expires_at;
  return is_valid ? &kept->second : nullptr;
}

}  // namespace nodepilot
