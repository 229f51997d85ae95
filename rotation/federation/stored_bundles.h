// The newest bundle of each foreign trust domain on the disk, so that a restart goes on from there
// (SPIFFE Federation 4.2): STATE_DIR/federation/TRUST_DOMAIN.json, mode 0600.
#pragma once

#include <filesystem>
#include <optional>
#include <set>

#include "rotation/pki/bundle_document.h"

namespace nodepilot {

// Immutable. Thread: any, but one save() at a time for each trust domain. Blocks on the disk.
class StoredBundles {
 public:
  explicit StoredBundles(const std::filesystem::path& state_dir);

  // Makes the directory, if there is something to keep, and deletes the copies of all trust domains
  // but `kept`: who is no longer federated with leaves nothing behind. Once, before anything else.
  expected<void> open(const std::set<TrustDomain>& kept) const;

  // Empty if there is none. A copy that cannot be used is kDataLoss; it is set aside as
  // TRUST_DOMAIN.json.corrupt.
  expected<std::optional<BundleDocument>> load(const TrustDomain& trust_domain) const;

  expected<void> save(const BundleDocument& document) const;

  // Where the copy stands or would stand, for errors.
  std::filesystem::path file_of(const TrustDomain& trust_domain) const;

 private:
  const std::filesystem::path state_dir_;
  const std::filesystem::path directory_;
};

// The bundle that the operator gives to begin with: a SPIFFE bundle in JSON, or CA certificates in
// PEM. It must hold a root. Errors name the file.
expected<BundleDocument> read_first_bundle(const TrustDomain& trust_domain,
                                           const std::filesystem::path& file);

}  // namespace nodepilot
