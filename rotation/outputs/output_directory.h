// A directory that shows one set of files at a time, in the layout of Kubernetes' volumes:
//   tls.crt -> ..data/tls.crt      tls.key -> ..data/tls.key
//   ..data -> ..2026_11_27_10_15_00.123456
// A new set is a new directory, synced before `..data` is renamed over to it: readers and a crash
// find the old set or the new one, never some of both. The set before stays until the next, for
// who is in the midst of reading it.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/base/time.h"
#include "rotation/outputs/file_owner.h"
#include "rotation/outputs/output_set.h"

namespace nodepilot {

// Immutable, but for the disk: one call at a time for each directory. Blocks. Thread: any.
class OutputDirectory {
 public:
  struct Options {
    std::filesystem::path path;
    FileOwnerIds owner{};
    mode_t key_mode = 0600;
    mode_t mode = 0644;
  };

  explicit OutputDirectory(Options options) : options_(std::move(options)) {}

  const std::filesystem::path& path() const { return options_.path; }

  // Makes the directory (0755; its parent must exist) if it is missing, and removes what a crash
  // left there: sets that `..data` does not show, a half-made link. Nothing else is touched.
  // kFailedPrecondition if it is no directory (a link is none), belongs to another user, group or
  // others may write to it, or something that is not ours has one of `names`.
  expected<void> prepare(const std::vector<std::string>& names) const;

  // Shows `files` from now on, and no others. `now` names the set. On an error what is shown stays;
  // the new set is shown also if only the last sync failed. kFailedPrecondition as above.
  expected<void> show(const std::vector<OutputFile>& files, Time now) const;

 private:
  struct Folder {
    Fd fd;
    std::filesystem::path path;
  };

  expected<Folder> open() const;
  expected<Folder> make_set(const Folder& folder, Time now) const;
  expected<void> fill(const Folder& set, const std::vector<OutputFile>& files) const;
  expected<void> write(const Folder& set, const OutputFile& file) const;

  const Options options_;
};

}  // namespace nodepilot
