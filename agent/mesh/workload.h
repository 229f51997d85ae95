// The workloads of this node that a mesh policy is rendered for, as the configuration has them.
// Thread: any.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/base/spiffe_id.h"
#include "agent/mesh/peer_authentication.h"

namespace nodepilot::mesh {

enum class Protocol {
  kHttp,   // HTTP/1.1
  kHttp2,  // HTTP/2, so gRPC, too
  kTcp,
  kAuto,  // of ports: found out for each connection
};

struct SocketAddress {
  std::string ip;
  std::uint16_t port = 0;

  friend bool operator==(const SocketAddress&, const SocketAddress&) = default;
};

// A port that peers connect to and policies speak of. Envoy listens there and the app elsewhere.
struct Port {
  std::uint16_t port = 0;
  std::string listen = "0.0.0.0";
  SocketAddress app;
  Protocol protocol = Protocol::kAuto;
};

struct Endpoint {
  SocketAddress address;
  std::uint16_t port = 0;  // that its own policies speak of
  bool has_proxy = false;  // it can do mutual TLS
  Labels labels{};
};

// A service that the workload calls: the app connects to `listen`, Envoy to the endpoints.
struct Service {
  std::string host;
  std::string name_space;
  std::uint16_t port = 0;
  SocketAddress listen;
  Protocol protocol = Protocol::kTcp;
  std::vector<SpiffeId> service_accounts{};  // secure naming: who may answer for it
  std::vector<Endpoint> endpoints{};
};

using AdminAddress = std::variant<SocketAddress, std::filesystem::path>;

struct Workload {
  std::string name;
  std::string name_space;
  Labels labels{};
  SpiffeId identity;
  std::optional<AdminAddress> admin{};
  std::vector<Port> ports{};
  std::vector<Service> services{};
};

struct MeshConfig {
  std::filesystem::path policy;  // a file, or a directory of files
  std::string root_namespace = "istio-system";
  std::vector<TrustDomain> trust_domain_aliases{};
  std::vector<Workload> workloads{};
};

}  // namespace nodepilot::mesh
