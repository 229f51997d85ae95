#include "sds/workload_reply.h"

#include <algorithm>
#include <set>
#include <string>

namespace nodepilot {
namespace {

// JWT keys are not in these replies: a change of theirs alone must not reach X.509 streams.
bool same_roots(const BundlePtr& a, const BundlePtr& b) {
  return a == b || (a && b && a->same_roots(*b));
}

}  // namespace

X509SVIDResponse svid_reply(const WorkloadUpdate& update) {
  X509SVIDResponse reply;
  const std::string bundle = update.bundle->der();
  std::set<std::string> hints;
  for (const HeldSvid& held : update.svids) {
    const SecretBytes& key = held.svid->key().pkcs8_der();
    X509SVID& svid = *reply.add_svids();
    svid.set_spiffe_id(held.svid->id().str());
    svid.set_x509_svid(concatenated_der(held.svid->chain()));
    svid.set_x509_svid_key(key.data(), key.size());
    svid.set_bundle(bundle);
    if (hints.insert(held.entry->hint).second) svid.set_hint(held.entry->hint);
  }
  for (const auto& [trust_domain, federated] : update.federated) {
    if (trust_domain == update.bundle->trust_domain()) continue;
    (*reply.mutable_federated_bundles())[trust_domain.id()] = federated->der();
  }
  return reply;
}

X509BundlesResponse bundles_reply(const WorkloadUpdate& update) {
  X509BundlesResponse reply;
  auto& bundles = *reply.mutable_bundles();
  for (const auto& [trust_domain, federated] : update.federated) {
    bundles[trust_domain.id()] = federated->der();
  }
  bundles[update.bundle->trust_domain().id()] = update.bundle->der();
  return reply;
}

bool same_svid_reply(const WorkloadUpdate& a, const WorkloadUpdate& b) {
  auto same_svid = [](const HeldSvid& x, const HeldSvid& y) {
    return x.svid == y.svid && x.entry->hint == y.entry->hint;
  };
  return std::equal(a.svids.begin(), a.svids.end(), b.svids.begin(), b.svids.end(), same_svid) &&
         same_bundles_reply(a, b);
}

bool same_bundles_reply(const WorkloadUpdate& a, const WorkloadUpdate& b) {
  auto same_federated = [](const auto& x, const auto& y) {
    return x.first == y.first && same_roots(x.second, y.second);
  };
  return same_roots(a.bundle, b.bundle) &&
         std::equal(a.federated.begin(), a.federated.end(), b.federated.begin(), b.federated.end(),
                    same_federated);
}

}  // namespace nodepilot
