// What is kept of an SVID and of a trust bundle, as bytes to be sealed.
// Thread: any.
#pragma once

#include <string>
#include <vector>

#include "agent/base/entry.h"
#include "rotation/pki/x509_svid.h"

namespace nodepilot {

inline constexpr std::size_t kMaxStoredBytes = std::size_t{1280} * 1024;

// Key and chain are one file, so that they always belong together. Nothing in it is verified.
struct StoredSvid {
  SpiffeId spiffe_id;
  std::vector<std::string> dns_names;  // that the CA was asked for; it may have given fewer
  Time arrived;                        // when the CA's answer came, from which its life counts
  PrivateKey key;
  std::vector<Certificate> chain;

  // Whether `entry` would ask the CA for the same today.
  bool is_for(const Entry& entry) const {
    return spiffe_id == entry.spiffe_id && dns_names == entry.dns_names;
  }
};

SecretBytes encode_svid(const StoredSvid& svid);
expected<StoredSvid> decode_svid(const SecretBytes& bytes);  // kDataLoss

SecretBytes encode_bundle(const TrustBundle& bundle);
expected<TrustBundle> decode_bundle(const SecretBytes& bytes);  // kDataLoss

}  // namespace nodepilot
