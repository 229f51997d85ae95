// The part of Istio's DestinationRule that says how a client connects: trafficPolicy.tls, and that
// of its portLevelSettings.
// Thread: any.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/clock.h"

namespace nodepilot::mesh {

enum class ClientTlsMode {
  kDisable,      // plaintext
  kSimple,       // TLS, the server alone shows a certificate
  kMutual,       // TLS, ours out of files
  kIstioMutual,  // TLS, ours is the workload's identity
};

struct ClientTls {
  ClientTlsMode mode = ClientTlsMode::kDisable;
  std::string sni{};
  std::vector<std::string> subject_alt_names{};
  // Paths as SDS serves them (docs/envoy.md, "Files"); the first two with kMutual only.
  std::string client_certificate{};
  std::string private_key{};
  std::string ca_certificates{};
};

struct DestinationRule {
  std::string name;
  std::string name_space;
  std::optional<Time> created{};  // none counts as the oldest of all
  std::string host;               // whole, or "*." and what follows
  std::optional<ClientTls> tls{};
  std::map<std::uint16_t, ClientTls> ports{};  // by the service's port, not the endpoints'
  std::string origin;                          // "web.yaml:3", for people

  std::string full_name() const { return name_space + "/" + name; }

  // How to connect to a port of the service: what is said of the port goes before what is said of
  // all, whole, so that nothing of the latter is inherited. Null: auto mTLS.
  const ClientTls* tls_for(std::uint16_t port) const;
};

// The rule for `host` that a client in `client_namespace` goes by: one of its own namespace, else
// of the service's, else of the root; within these an exact host, else the longest wildcard, else
// the oldest. Null if there is none. Points into `rules`.
const DestinationRule* find_rule(const std::vector<DestinationRule>& rules, const std::string& host,
                                 const std::string& client_namespace,
                                 const std::string& service_namespace,
                                 const std::string& root_namespace);

}  // namespace nodepilot::mesh
