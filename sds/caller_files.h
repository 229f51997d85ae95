// The files that one caller asks for by name, as far as its entries grant them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "sds/secret_files.h"

namespace nodepilot {

// Thread: loop. Must not outlive `files`.
class CallerFiles {
 public:
  // `on_change` runs whenever answers() changes other than by ask().
  CallerFiles(SecretFiles& files, const SecretOptions& options, std::function<void()> on_change)
      : files_(files), system_roots_(options.system_roots), on_change_(std::move(on_change)) {}

  // Watches the file names among `names`, and no others any more. Whether answers() has changed.
  bool ask(const std::set<std::string>& names, const std::vector<EntryPtr>& entries);

  std::map<std::string, FileAnswer> answers() const;

 private:
  struct Asked {
    std::unique_ptr<FileWatch> watch;  // null if refused
    std::string why_not;
  };

  Asked look_up(const std::string& name, const std::vector<EntryPtr>& entries);

  SecretFiles& files_;
  const bool system_roots_;
  const std::function<void()> on_change_;
  std::vector<EntryPtr> entries_;  // that the answers hold for
  std::map<std::string, Asked> asked_;
};

}  // namespace nodepilot
