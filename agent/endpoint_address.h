// Where a SPIFFE Workload API is reached (SPIFFE Workload Endpoint, section 4).
// Thread: any (immutable).
#pragma once

#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace nodepilot {

struct EndpointAddress {
  std::string unix_path;   // of a Unix socket; empty for TCP
  std::string tcp_target;  // "ipv4:127.0.0.1:8000", "ipv6:[::1]:8000"; empty for a Unix socket

  // "unix:///run/api.sock", "unix:/run/api.sock", "tcp://127.0.0.1:8000", and nothing else.
  static expected<EndpointAddress> parse(std::string_view uri);
  // Besides, a plain absolute path, as people type it.
  static expected<EndpointAddress> parse_uri_or_path(std::string_view text);
  static EndpointAddress of_path(std::string path) { return {std::move(path), ""}; }

  // What a gRPC channel is made of.
  std::string grpc_target() const;
  // As a person reads it: the URI.
  std::string str() const;
};

}  // namespace nodepilot
