// Sets of files on a stage: SVIDs to write, and what stands on the disk.
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string>

#include "rotation/outputs/output_set.h"
#include "test/rotation/rig.h"
#include "test/support/temporary_directory.h"

namespace nodepilot {

namespace fs = std::filesystem;

inline std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline SecretBytes read_secret(const fs::path& path) {
  std::string text = read_text(path);
  return {text.begin(), text.end()};
}

inline mode_t mode_of(const fs::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
}

inline std::set<std::string> names_in(const fs::path& directory) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) {
    names.insert(entry.path().filename());
  }
  return names;
}

// The directories of sets that stand there.
inline std::set<std::string> sets_in(const fs::path& directory) {
  std::set<std::string> sets;
  for (const std::string& name : names_in(directory)) {
    if (name.starts_with("..2")) sets.insert(name);
  }
  return sets;
}

inline std::string shown_set(const fs::path& directory) {
  return fs::read_symlink(directory / "..data");
}

// An SVID and a bundle, as the rotator would supply them; new ones at each call.
class ContentSource {
 public:
  OutputContent make() {
    Entry entry = make_entry(0);
    auto bundle = ca_.bundle().value();
    auto issued = issue(ca_, entry, bundle, clock_).value();
    return {std::make_shared<const X509Svid>(std::move(issued.svid)),
            std::make_shared<const TrustBundle>(std::move(bundle)),
            {}};
  }
  FakeCa& ca() { return ca_; }

 private:
  FakeClock clock_;
  FakeCa ca_{clock_};
};

}  // namespace nodepilot
