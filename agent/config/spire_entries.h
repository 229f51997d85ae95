// Registration entries of a SPIRE server, as `spire-server entry show -output json` prints them,
// made into rules of ours.
// Thread: any.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/base/entry.h"

namespace nodepilot {

inline constexpr std::size_t kMaxSpireEntriesBytes = std::size_t{64} * 1024 * 1024;

struct ImportedEntries {
  // In the order of the file, and of those that say the same the first; a life of zero is the
  // default.
  std::vector<Entry> entries;
  // Those that are no rule here, one sentence each: "entry 00…01 (spiffe://td/web): why".
  std::vector<std::string> left_out;
  // What was taken, but means less here: one sentence each.
  std::vector<std::string> remarks;
};

// kInvalidArgument if it is no such output at all.
expected<ImportedEntries> import_spire_entries(std::string_view json);

// The `identities:` of a configuration, which reads what was imported as it is.
std::string identities_yaml(const std::vector<Entry>& entries);

}  // namespace nodepilot
