#include "agent/config/telemetry.h"

#include "agent/config/text.h"

namespace nodepilot {

std::optional<TelemetryConfig> decode_telemetry(const YamlValue& value) {
  YamlMapping section(value);
  std::optional<ListenAddress> listen;
  if (auto text = section.require("listen")) text->read(listen, parse_listen);
  TelemetryConfig telemetry;
  section.read("per_identity", telemetry.per_identity, parse_switch, Quotes::kNever);
  if (!listen) return std::nullopt;
  telemetry.listen = *std::move(listen);
  return telemetry;
}

}  // namespace nodepilot
