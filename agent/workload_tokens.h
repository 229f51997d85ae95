// The token that a workload itself would show the CA: a file of its own, read through a process of
// it that is connected to us.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "attest/process_files.h"
#include "rotation/ca/istiod/token_source.h"
#include "rotation/entry_set.h"

namespace nodepilot {

// Thread: token() worker, several at once; note() loop.
class WorkloadTokens : public TokenSource {
 public:
  // `file` is its path in the workload's own root directory.
  explicit WorkloadTokens(std::filesystem::path file, ProcessFiles files = ProcessFiles());

  // `peer` is entitled to `entries` until the handle is destroyed.
  std::shared_ptr<void> note(const std::shared_ptr<const Peer>& peer,
                             const std::vector<EntryPtr>& entries);

  // Of the newest process of the entry that is still itself and has one. kUnavailable if no process
  // is connected.
  expected<SecretBytes> token(const Entry& entry) override;
  void refused(const Entry&, const SecretBytes&) override {}  // read anew each time

 private:
  struct Callers {
    std::mutex mutex;
    std::multimap<std::string, std::shared_ptr<const Peer>> peers;  // by entry id, oldest first
  };

  const std::filesystem::path file_;
  const ProcessFiles files_;
  const std::shared_ptr<Callers> callers_ = std::make_shared<Callers>();  // synchronizes itself
};

}  // namespace nodepilot
