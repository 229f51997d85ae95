// What Envoys report of who comes without an identity of the mesh: how they are told to, and what
// they say. It is the access log of TCP, on HTTP, too: that of HTTP would tell paths and headers,
// which are not ours to know.
// Pure. Thread: any.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>

#include "proto/envoy/access_log.pb.h"

namespace nodepilot::mesh {

// The names of the logs.
inline constexpr const char* kPlaintextLog = "plaintext";
inline constexpr const char* kOwnTlsLog = "own_tls";  // TLS that an application ends itself

// An access log that goes to the agent, of the given moments alone.
envoy::config::accesslog::v3::AccessLog log_to_agent(
    const char* name, std::initializer_list<envoy::data::accesslog::v3::AccessLogType> moments);

// One entry of such a log.
struct Sighting {
  std::uint16_t port = 0;  // of the workload
  std::string ip;          // of the peer itself, whatever headers say; one spelling for each
  bool own_tls = false;
  bool is_end = false;  // of a connection, whose beginning was mostly told before
};

// Empty if the entry names no IP address or no port. `own_tls` is for the caller to set.
std::optional<Sighting> parse_sighting(const envoy::data::accesslog::v3::AccessLogCommon& entry);

}  // namespace nodepilot::mesh
