// What came to a workload's ports, by Envoy's own count, and whether a port may go STRICT.
// Pure. Thread: any.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "agent/mesh/peer_authentication.h"

namespace nodepilot::mesh {

// Connections since Envoy started.
struct Connections {
  std::uint64_t total = 0;
  std::uint64_t open = 0;  // now, of HTTP: of TCP Envoy does not count them
  bool any_tcp = false;
};

struct Traffic {
  Connections mutual;     // mutual TLS of the mesh
  Connections plaintext;  // and TLS of applications, which tells no identity either
};

struct EnvoyCounts {
  std::map<std::uint16_t, Traffic> ports;
  std::optional<std::chrono::seconds> uptime;  // for how long it has counted
};

// What to ask Envoy's admin interface for.
inline constexpr const char* kCountsTarget =
    "/stats?filter=inbound_.*downstream_cx_|^server.uptime$";

// Out of the text of Envoy's /stats; a line that is not about our chains, or is not whole, is
// passed over.
EnvoyCounts parse_counts(std::string_view stats);

// "1 (50%)": `part` of the connections. "0" if there were none.
std::string share(const Connections& part, const Traffic& of);

// "safe to go STRICT: 12 of 12 connections in 3h by mutual TLS", "not safe: plaintext
// from 10.0.0.9, 1 open now", "nothing seen yet in 3h, cannot tell", ... `who` came without an
// identity of the mesh, as the agent knows; empty if it knows of nobody.
std::string advice(MtlsMode mode, const Traffic& traffic,
                   std::optional<std::chrono::seconds> uptime, const std::string& who);

}  // namespace nodepilot::mesh
