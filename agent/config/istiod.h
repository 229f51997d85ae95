// `ca.istiod` in the configuration.
// Thread: any.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "agent/base/entry.h"
#include "agent/config/yaml_decoder.h"
#include "rotation/ca/istiod/istiod_options.h"

namespace nodepilot {

// Notes what is wrong; sets the life of certificates where an identity names none.
IstiodOptions decode_istiod(YamlMapping section, std::chrono::seconds& ttl);

// What about `entries` istiod could never sign when asked so.
std::vector<std::string> istiod_objections(const IstiodOptions& options,
                                           const std::vector<Entry>& entries);

}  // namespace nodepilot
