// The files of the sealed state: a flat directory that nobody else may enter.
#pragma once

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/base/secret.h"

namespace nodepilot {

inline constexpr std::string_view kBundleFile = "bundle";
// Hashed: an entry's ID may be longer than a file's name, and holds slashes.
std::string svid_file(const std::string& entry_id);
bool is_svid_file(std::string_view name);

// What is asked of the disk, so that tests can have it fail.
// Thread: any, one call at a time. Blocks.
class StateFiles {
 public:
  virtual ~StateFiles() = default;
  // Those of ours that are there, ones set aside too (NAME.bad).
  virtual expected<std::set<std::string>> list() = 0;
  // kNotFound; kResourceExhausted if it is larger than any of ours; kFailedPrecondition if it is
  // not a file that we alone can read and write.
  virtual expected<SecretBytes> read(const std::string& name) = 0;
  // Whole or not at all, and on the disk when it returns. After an error a further write() begins
  // anew, with a new file: after a failed sync nobody knows what the disk has.
  virtual expected<void> write(const std::string& name, std::string_view bytes) = 0;
  virtual expected<void> remove(const std::string& name) = 0;     // it may be gone already
  virtual expected<void> set_aside(const std::string& name) = 0;  // as NAME.bad
  // Lets another agent write; the next write() claims the files again.
  virtual void release() {}
  // Of `name`, for errors.
  virtual std::filesystem::path path(std::string_view name) const = 0;
};

class StateDirectory : public StateFiles {
 public:
  // Makes the directory if it is missing, locks it, removes temporary files that a crash left.
  // A disk that does not let us is no error here, but one of each write(). kFailedPrecondition if
  // it is not ours alone, kUnavailable if another agent uses it; unless we `may_follow` that one:
  // then we read, and each write() is an error until it has released the directory.
  static expected<std::unique_ptr<StateDirectory>> open(std::filesystem::path directory,
                                                        bool may_follow = false);

  expected<std::set<std::string>> list() override;
  expected<SecretBytes> read(const std::string& name) override;
  expected<void> write(const std::string& name, std::string_view bytes) override;
  expected<void> remove(const std::string& name) override;
  expected<void> set_aside(const std::string& name) override;
  void release() override { lock_.reset(); }
  std::filesystem::path path(std::string_view name) const override { return directory_ / name; }

 private:
  explicit StateDirectory(std::filesystem::path directory) : directory_(std::move(directory)) {}
  // Makes and locks the directory, unless that is done.
  expected<void> claim();
  void remove_temporaries();

  const std::filesystem::path directory_;
  Fd lock_;
};

}  // namespace nodepilot
