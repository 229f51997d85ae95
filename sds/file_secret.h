// Secrets out of files, by Istio's names. A name tells where to look, never whether one may: that
// is granted by the entries of the caller.
//
//   file-cert:CERT~KEY   a certificate chain and its key
//   file-root:FILE       roots
//   file-root:system     the roots of the operating system
#pragma once

#include <compare>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/time.h"
#include "rotation/entry_set.h"
#include "rotation/pki/certificate.h"

namespace nodepilot {

// Immutable. Thread: any.
struct FileSecret {
  std::vector<Certificate> certificates;  // a chain, leaf first, or roots
  std::optional<PrivateKey> key;          // of the chain; roots have none
  std::string version;                    // a digest of the certificates
  std::string source_digest;              // of the bytes that were read
};
using FileSecretPtr = std::shared_ptr<const FileSecret>;

bool is_file_name(std::string_view name);

// A file inside a directory that an entry grants. Without a directory: the operating system's.
struct GrantedFile {
  std::filesystem::path directory;
  std::filesystem::path path;  // relative to it

  std::filesystem::path whole() const { return directory / path; }
  friend auto operator<=>(const GrantedFile&, const GrantedFile&) = default;
};

// Where the secret of a file name is, for one caller.
struct FileSource {
  GrantedFile certificates;
  std::optional<GrantedFile> key;  // of a chain; roots have none

  friend auto operator<=>(const FileSource&, const FileSource&) = default;
};

// kInvalidArgument if the name is malformed, kPermissionDenied if no entry grants its files.
expected<FileSource> find_source(std::string_view name, const std::vector<EntryPtr>& entries,
                                 bool system_roots);

// Reads and checks: a chain must begin with a certificate of the key that is no CA's and is valid
// at `now`; of roots those count that can be used, at least one. Unchanged bytes yield `known`,
// what they gave last (or null). Thread: any; blocks on the disk.
expected<FileSecretPtr> read_secret(const FileSource& source, const FileSecretPtr& known, Time now);

}  // namespace nodepilot
