// Small pieces of Envoy configuration that all of the renderer uses. Pure. Thread: any.
#pragma once

#include <google/protobuf/any.pb.h>
#include <google/protobuf/message.h>

#include <filesystem>
#include <string>
#include <vector>

#include "agent/base/spiffe_id.h"
#include "agent/mesh/workload.h"
#include "proto/envoy/cluster.pb.h"
#include "proto/envoy/core.pb.h"

namespace nodepilot::mesh {

// What all Envoys of a mesh have in common.
struct Surroundings {
  TrustDomain trust_domain;
  std::vector<TrustDomain> aliases{};  // other names of it, under the same roots
  std::filesystem::path agent_socket;
  std::string certificate = "default";  // names of secrets
  std::string roots = "ROOTCA";
};

// The cluster that is the agent.
inline constexpr const char* kAgentCluster = "nodepilot";

google::protobuf::Any pack(const google::protobuf::Message& message);
envoy::config::core::v3::Address address_of(const SocketAddress& address);
envoy::config::core::v3::Address pipe_to(const std::filesystem::path& path);

// A static cluster of no endpoints yet.
envoy::config::cluster::v3::Cluster cluster_named(const std::string& name);
envoy::config::endpoint::v3::LbEndpoint* add_endpoint(envoy::config::cluster::v3::Cluster& cluster,
                                                      envoy::config::core::v3::Address address);
// Which HTTP the cluster's endpoints are spoken to in; kAuto: that which the client spoke.
void set_http(envoy::config::cluster::v3::Cluster& cluster, Protocol protocol);

// Resources that the agent serves on its public socket.
envoy::config::core::v3::ConfigSource from_agent();

}  // namespace nodepilot::mesh
