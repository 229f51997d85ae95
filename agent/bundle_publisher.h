// Publishes our own trust domain's bundle to those who federate with us (SPIFFE Federation,
// section 5): a numbered document, under a certificate that is kept fresh.
#pragma once

#include <filesystem>
#include <optional>

#include "agent/bundle_endpoint.h"
#include "agent/config/publication.h"
#include "agent/endpoint_certificate.h"
#include "rotation/federation/bundle_sequence.h"

namespace nodepilot {

// Thread: loop; the disk is written on workers.
class BundlePublisher {
 public:
  // Listens; from then on serves each bundle that `store` holds. Errors name the address or file.
  // For https_spiffe the store's entries have an endpoint_entry().
  // The references outlive it and every job already given to `workers`. Blocks on the disk.
  static expected<std::unique_ptr<BundlePublisher>> start(Loop& loop, Clock& clock,
                                                          Workers& workers, IdentityStore& store,
                                                          const Publication& publication,
                                                          const std::filesystem::path& state_dir);

  std::uint16_t port() const { return endpoint_->port(); }

 private:
  BundlePublisher(std::unique_ptr<BundleEndpoint> endpoint, Clock& clock, Workers& workers,
                  IdentityStore& store, const Publication& publication,
                  const std::filesystem::path& state_dir);
  expected<void> show_certificate();
  // Numbers and publishes the store's bundle, unless it is published already.
  void refresh();
  void finish(const BundlePtr& bundle, const BundleSequence::Numbered& numbered);

  Clock& clock_;
  Workers& workers_;
  IdentityStore& store_;
  const Publication publication_;
  const BundleSequence sequence_;
  const std::unique_ptr<BundleEndpoint> endpoint_;
  std::optional<FileCertificate> file_certificate_;
  std::optional<SvidCertificate> svid_certificate_;
  std::shared_ptr<void> store_watch_;
  BundlePtr published_;
  bool is_numbering_ = false;
  std::shared_ptr<BundlePublisher*> self_;  // completions hold it weakly
};

}  // namespace nodepilot
