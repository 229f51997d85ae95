// What came to a workload's ports, by Envoy's own count, and whether a port may go STRICT.
// Pure. Thread: any.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "agent/mesh/peer_authentication.h"

namespace nodepilot::mesh {

// Connections since Envoy started, and those open now.
struct Connections {
  std::uint64_t total = 0;
  std::uint64_t active = 0;
};

struct Traffic {
  Connections mutual;     // mutual TLS of the mesh
  Connections plaintext;  // and TLS of applications, which tells no identity either
};

// Out of the text of Envoy's /stats; what is not about our chains is passed over.
std::map<std::uint16_t, Traffic> parse_traffic(std::string_view stats);

// "safe to go STRICT", "2 of 5 connections in plaintext, 1 open now", ...
std::string advice(MtlsMode mode, const Traffic& traffic);

}  // namespace nodepilot::mesh
