// `limits` in the configuration: every field of sds/rpc/limits.h under its own name.
// Thread: any.
#pragma once

#include "agent/config/yaml_decoder.h"
#include "sds/rpc/limits.h"

namespace nodepilot {

void decode_limits(YamlMapping section, Limits& limits);

}  // namespace nodepilot
