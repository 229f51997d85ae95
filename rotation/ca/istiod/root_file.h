// Roots in a file that others replace while we run: a Kubernetes volume, or the system's list.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/time.h"
#include "rotation/ca/istiod/lasting_fault.h"
#include "rotation/pki/certificate.h"

namespace nodepilot {

struct ListedRoots {
  std::vector<Certificate> certificates;  // never empty
  std::string pem;                        // of the same
};
using ListedRootsPtr = std::shared_ptr<const ListedRoots>;

// Thread: any, one at a time; blocks on the disk.
class RootFile {
 public:
  // Symbolic links are followed. Without a path: the operating system's list, of which what we
  // cannot use is skipped; in a file of the operator's it is an error.
  explicit RootFile(std::optional<std::filesystem::path> path) : path_(std::move(path)) {}

  // The file's roots as they are now; the same object as long as they do not change. A file that
  // has become unreadable or corrupt is logged, and what it held before stands: an error comes only
  // if it never held any.
  expected<ListedRootsPtr> read(Time now);

  std::string name() const { return path_ ? path_->string() : "the system's roots"; }

 private:
  expected<void> refresh();

  const std::optional<std::filesystem::path> path_;
  std::string text_;  // what roots_ were parsed from
  ListedRootsPtr roots_;
  LastingFault fault_;
};

}  // namespace nodepilot
