// The list under `outputs`: files for programs that read files.
// Thread: any.
#pragma once

#include <filesystem>
#include <functional>
#include <vector>

#include "agent/base/entry.h"
#include "agent/config/yaml_decoder.h"
#include "rotation/outputs/output.h"

namespace nodepilot {

// Says why files must not be written there, if so.
using CheckDirectory = std::function<expected<void>(const std::filesystem::path&)>;

// What is wrong is noted. The identity of each must be one of `entries`, which are numbered; no two
// may share a directory, nor have one inside the other.
std::vector<Output> decode_outputs(const YamlValue& list, const std::vector<Entry>& entries,
                                   const CheckDirectory& check);

// Whether one of the two directories is, or lies in, the other.
bool overlap(const std::filesystem::path& a, const std::filesystem::path& b);

}  // namespace nodepilot
