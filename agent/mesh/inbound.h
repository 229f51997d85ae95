// The inbound side of a workload: for each port a listener whose filter chains are the policy, and
// the cluster that is the application. Pure. Thread: any.
//
// Chains of a port (docs/mtls-policy.md), first by what the client speaks, then by its ALPN:
//   mode        http port              tcp port                auto port
//   STRICT      tls -> HTTP, mTLS      tls -> TCP, mTLS        tls+H -> HTTP, mTLS; tls -> TCP,
//   mTLS PERMISSIVE  tls+(H|T) -> HTTP,     tls+(H|T) -> TCP, mTLS; tls+H -> HTTP, mTLS; raw+P ->
//   HTTP;
//               mTLS; raw -> HTTP      tls -> TCP as it is;    tls+T -> TCP, mTLS; raw -> TCP;
//                                      raw -> TCP              tls -> TCP as it is
//   DISABLE     raw -> HTTP            raw -> TCP              raw+P -> HTTP; raw -> TCP
#pragma once

#include <vector>

#include "agent/mesh/envoy_parts.h"
#include "agent/mesh/policy_set.h"
#include "proto/envoy/listener.pb.h"

namespace nodepilot::mesh {

struct InboundChain {
  enum class Speaks { kTls, kRaw };
  enum class Alpn { kAny, kMeshHttp, kMesh, kMeshBoth, kPlainHttp };
  enum class Becomes { kHttp, kTcp };
  enum class Security { kMutualTls, kAsItIs };

  Speaks speaks;
  Alpn alpn;
  Becomes becomes;
  Security security;

  friend bool operator==(const InboundChain&, const InboundChain&) = default;
};

// The table above. `mode` is not kUnset.
std::vector<InboundChain> inbound_chains(MtlsMode mode, Protocol protocol);

envoy::config::listener::v3::Listener inbound_listener(const Surroundings& surroundings,
                                                       const Port& port, MtlsMode mode);
envoy::config::cluster::v3::Cluster inbound_cluster(const Port& port);

}  // namespace nodepilot::mesh
