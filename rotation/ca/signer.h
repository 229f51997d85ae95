// The key and certificates of the embedded CA: where they come from. For this room only.
#pragma once

#include <filesystem>
#include <vector>

#include "agent/base/time.h"
#include "rotation/pki/certificate.h"
#include "rotation/pki/private_key.h"
#include "rotation/pki/trust_bundle.h"

namespace nodepilot {

// New certificates start this much before now: a clock that is a little behind must not find
// them not yet valid.
inline constexpr Duration kBackdate = std::chrono::seconds(10);

struct Signer {
  PrivateKey key;
  std::vector<Certificate> chain;  // signing certificate first, self-signed root last or alone

  const Certificate& certificate() const { return chain.front(); }
  const Certificate& root() const { return chain.back(); }
};

// What the operator gives; not yet checked.
expected<Signer> read_signer(const std::filesystem::path& certificate_file,
                             const std::filesystem::path& key_file);

// A file of our own: key and root in one. A made one is on the disk before it signs anything.
expected<Signer> parse_own_signer(const SecretBytes& text);
expected<Signer> make_own_signer(const std::filesystem::path& file, const TrustDomain& trust_domain,
                                 Validity validity);

// Whether `signer` can issue for `bundle`'s trust domain at `now`. Yields what follows the leaf in
// every chain that it issues: intermediates without the root.
expected<std::vector<Certificate>> check_signer(const Signer& signer, const TrustBundle& bundle,
                                                Time now);

}  // namespace nodepilot
