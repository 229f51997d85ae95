// Files of a process as that process sees them, below its own root directory. What they hold is in
// that process's hands, and so may be the file system that they are on.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>

#include "agent/base/secret.h"
#include "agent/base/time.h"
#include "attest/peer.h"

namespace nodepilot {

// Thread: any, several at once.
class ProcessFiles {
 public:
  // A read that takes longer than `patience` is left behind on a thread of its own: a process can
  // mount a file system that never answers. At most `max_stuck` of them.
  explicit ProcessFiles(Duration patience = std::chrono::seconds(2), std::size_t max_stuck = 32)
      : patience_(patience), max_stuck_(max_stuck) {}

  // A regular file of at most `max_bytes`, while `peer` is still the process that connected.
  // kUnavailable if it is not, kDeadlineExceeded if it took too long, kResourceExhausted if too
  // many others do; else what the file system says.
  expected<SecretBytes> read(std::shared_ptr<const Peer> peer, std::filesystem::path path,
                             std::size_t max_bytes) const;

 private:
  const Duration patience_;
  const std::size_t max_stuck_;
  const std::shared_ptr<std::atomic<std::size_t>> under_way_ =
      std::make_shared<std::atomic<std::size_t>>(0);
};

}  // namespace nodepilot
