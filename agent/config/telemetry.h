// `telemetry` in the configuration: where metrics and health are served.
// Thread: any.
#pragma once

#include <optional>

#include "agent/config/listen.h"
#include "agent/config/yaml_decoder.h"

namespace nodepilot {

struct TelemetryConfig {
  ListenAddress listen{};
  bool per_identity = true;  // whether there are series for each SPIFFE ID
};

// The mapping under `telemetry`; empty if a mistake was noted.
std::optional<TelemetryConfig> decode_telemetry(const YamlValue& value);

}  // namespace nodepilot
