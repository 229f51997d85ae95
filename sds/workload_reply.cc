#include "sds/workload_reply.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "rotation/pki/bundle_document.h"

namespace nodepilot {
namespace {

// Of several identities with one hint only the first keeps it (section 5.2.1).
class Hints {
 public:
  std::string take(const std::string& hint) { return taken_.insert(hint).second ? hint : ""; }

 private:
  std::set<std::string> taken_;
};

// Calls `add` for our own bundle, and for each federated one that has something of the kind.
template <class HasKeys, class Add>
void each_bundle(const WorkloadUpdate& update, HasKeys has_keys, Add add) {
  for (const auto& [trust_domain, bundle] : update.federated) {
    if (trust_domain != update.bundle->trust_domain() && has_keys(*bundle)) add(*bundle);
  }
  add(*update.bundle);
}

bool has_roots(const TrustBundle& bundle) { return !bundle.roots().empty(); }
bool has_jwt_keys(const TrustBundle& bundle) { return !bundle.jwt_authorities().empty(); }

template <class Same>
bool same_bundles(const WorkloadUpdate& a, const WorkloadUpdate& b, Same same) {
  auto same_pointed = [&](const BundlePtr& x, const BundlePtr& y) {
    return x == y || (x && y && same(*x, *y));
  };
  auto same_federated = [&](const auto& x, const auto& y) {
    return x.first == y.first && same_pointed(x.second, y.second);
  };
  return same_pointed(a.bundle, b.bundle) &&
         std::equal(a.federated.begin(), a.federated.end(), b.federated.begin(), b.federated.end(),
                    same_federated);
}

// The standard's claims in their one form, so that clients need not know two.
nlohmann::json with_audience_list(nlohmann::json claims) {
  nlohmann::json& audience = claims["aud"];
  if (audience.is_string()) audience = nlohmann::json::array({audience});
  return claims;
}

}  // namespace

X509SVIDResponse svid_reply(const WorkloadUpdate& update) {
  X509SVIDResponse reply;
  const std::string bundle = update.bundle->der();
  Hints hints;
  for (const HeldSvid& held : update.svids) {
    const SecretBytes& key = held.svid->key().pkcs8_der();
    X509SVID& svid = *reply.add_svids();
    svid.set_spiffe_id(held.svid->id().str());
    svid.set_x509_svid(concatenated_der(held.svid->chain()));
    svid.set_x509_svid_key(key.data(), key.size());
    svid.set_bundle(bundle);
    svid.set_hint(hints.take(held.entry->hint));
  }
  each_bundle(update, has_roots, [&](const TrustBundle& one) {
    if (&one == update.bundle.get()) return;
    (*reply.mutable_federated_bundles())[one.trust_domain().id()] = one.der();
  });
  return reply;
}

X509BundlesResponse bundles_reply(const WorkloadUpdate& update) {
  X509BundlesResponse reply;
  each_bundle(update, has_roots, [&](const TrustBundle& bundle) {
    (*reply.mutable_bundles())[bundle.trust_domain().id()] = bundle.der();
  });
  return reply;
}

JWTBundlesResponse jwt_bundles_reply(const WorkloadUpdate& update) {
  JWTBundlesResponse reply;
  each_bundle(update, has_jwt_keys, [&](const TrustBundle& bundle) {
    (*reply.mutable_bundles())[bundle.trust_domain().id()] = jwt_bundle_json(bundle);
  });
  return reply;
}

JWTSVIDResponse jwt_svid_reply(const std::vector<HeldJwt>& held) {
  JWTSVIDResponse reply;
  Hints hints;
  for (const HeldJwt& one : held) {
    JWTSVID& svid = *reply.add_svids();
    svid.set_spiffe_id(one.svid.id.str());
    svid.set_svid(one.svid.token);
    svid.set_hint(hints.take(one.entry->hint));
  }
  return reply;
}

expected<ValidateJWTSVIDResponse> validated_reply(const ValidatedJwt& validated) {
  ValidateJWTSVIDResponse reply;
  reply.set_spiffe_id(validated.id.str());
  auto read = google::protobuf::util::JsonStringToMessage(
      with_audience_list(validated.claims).dump(), reply.mutable_claims());
  if (!read.ok()) {
    return fail(Code::kInvalidArgument, "the token's claims do not fit a protobuf Struct");
  }
  return reply;
}

bool same_svid_reply(const WorkloadUpdate& a, const WorkloadUpdate& b) {
  auto same_svid = [](const HeldSvid& x, const HeldSvid& y) {
    return x.svid == y.svid && x.entry->hint == y.entry->hint;
  };
  return std::equal(a.svids.begin(), a.svids.end(), b.svids.begin(), b.svids.end(), same_svid) &&
         same_bundles_reply(a, b);
}

// JWT keys are not in X.509 replies: a change of theirs alone must not reach those streams.
bool same_bundles_reply(const WorkloadUpdate& a, const WorkloadUpdate& b) {
  return same_bundles(a, b,
                      [](const TrustBundle& x, const TrustBundle& y) { return x.same_roots(y); });
}

bool same_jwt_bundles_reply(const WorkloadUpdate& a, const WorkloadUpdate& b) {
  return same_bundles(
      a, b, [](const TrustBundle& x, const TrustBundle& y) { return x.same_jwt_authorities(y); });
}

}  // namespace nodepilot
