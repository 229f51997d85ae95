// Numbers the versions of our own bundle: spiffe_sequence grows whenever the content changes and
// only then, over restarts too (SPIFFE Trust Domain and Bundle 4.1.1).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "agent/base/time.h"
#include "rotation/pki/trust_bundle.h"

namespace nodepilot {

// Thread: worker, one call at a time. Blocks on the disk.
class BundleSequence {
 public:
  // Kept in STATE_DIR/bundle-sequence.json.
  explicit BundleSequence(std::filesystem::path state_dir);

  struct Numbered {
    std::uint64_t sequence;
    std::optional<Error> not_stored;  // it will differ after a restart, but still have grown
  };
  // A new number is the Unix time, or one more than the last if that is not less: so it grows even
  // when the file was lost.
  Numbered number(const TrustBundle& bundle, Time now) const;

 private:
  const std::filesystem::path state_dir_;
  const std::filesystem::path file_;
};

}  // namespace nodepilot
