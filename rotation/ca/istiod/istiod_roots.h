// Whom we believe: the roots that the operator gives, and those that the CA tells, which count only
// if they continue what is believed already. TLS alone must not be able to put in new ones: whoever
// has a certificate for the server's name would own the trust domain.
#pragma once

#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "rotation/ca/istiod/root_file.h"
#include "rotation/pki/trust_bundle.h"

namespace nodepilot {

// Thread: any, several at once; blocks on the disk.
class IstiodRoots {
 public:
  // `trust_bundle_file` stands in for `root_file` (empty: the system's) where it is about the
  // certificates that are signed for us. `now` is called from any thread.
  IstiodRoots(TrustDomain trust_domain, std::optional<std::filesystem::path> root_file,
              std::optional<std::filesystem::path> trust_bundle_file, std::function<Time()> now);

  // What the server is verified with. Errors: the file has never been readable.
  expected<ListedRootsPtr> server_roots();

  // The operator's roots and those told last. Errors: as above.
  expected<TrustBundle> bundle();

  // The CA tells `roots`. From now on they stand in bundle() instead of those told before, if at
  // least one of them is believed already or has the key of one that is (a root renewed with its
  // key). Else nothing changes: kFailedPrecondition, or kInvalidArgument if one is no root.
  expected<void> accept(const std::vector<Certificate>& roots);

 private:
  expected<ListedRootsPtr> read_bootstrap();

  // Constant after construction.
  const TrustDomain trust_domain_;
  const std::function<Time()> now_;

  std::mutex mutex_;  // guards the rest
  RootFile root_file_;
  std::optional<RootFile> trust_bundle_file_;
  std::vector<Certificate> told_;
};

}  // namespace nodepilot
