// Istio's PeerAuthentication as values: who must come by mutual TLS, and where.
// Thread: any.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "agent/base/clock.h"

namespace nodepilot::mesh {

enum class MtlsMode {
  kUnset,       // as the wider scope says
  kDisable,     // plaintext only
  kPermissive,  // plaintext and mutual TLS
  kStrict,      // mutual TLS only
};

// "UNSET", "DISABLE", "PERMISSIVE", "STRICT".
const char* to_string(MtlsMode mode);
std::optional<MtlsMode> parse_mtls_mode(std::string_view text);

using Labels = std::map<std::string, std::string>;
using PortModes = std::map<std::uint16_t, MtlsMode>;

struct PeerAuthentication {
  std::string name;
  std::string name_space;
  std::optional<Time> created{};  // none counts as the oldest of all
  Labels selector{};              // empty: every workload of the namespace
  MtlsMode mode = MtlsMode::kUnset;
  PortModes ports{};   // by the port that the workload listens on, not the service's
  std::string origin;  // "web.yaml:3", for people

  // "shop/default".
  std::string full_name() const { return name_space + "/" + name; }
};

}  // namespace nodepilot::mesh
