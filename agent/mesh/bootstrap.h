// The whole configuration of one workload's Envoy under a set of policies. Pure. Thread: any.
#pragma once

#include <vector>

#include "agent/base/result.h"
#include "agent/mesh/destination_rule.h"
#include "agent/mesh/envoy_parts.h"
#include "agent/mesh/policy_set.h"
#include "proto/envoy/bootstrap.pb.h"

namespace nodepilot::mesh {

struct Policy {
  PolicySet peers;
  std::vector<DestinationRule> rules;
};

struct Resources {
  std::vector<envoy::config::listener::v3::Listener> listeners;
  std::vector<envoy::config::cluster::v3::Cluster> clusters;
};

// kFailedPrecondition if a service that is to be reached by mutual TLS has no known identities.
expected<Resources> render(const Surroundings& surroundings, const Policy& policy,
                           const std::string& root_namespace, const Workload& workload);

envoy::config::bootstrap::v3::Bootstrap bootstrap(const Surroundings& surroundings,
                                                  const Workload& workload, Resources resources);

// The same with listeners and clusters by discovery from the agent, which knows the Envoy by its
// node's id, the workload's name.
envoy::config::bootstrap::v3::Bootstrap live_bootstrap(const Surroundings& surroundings,
                                                       const Workload& workload);

// As Envoy reads it: names with underscores, indented.
expected<std::string> to_json(const google::protobuf::Message& message);

}  // namespace nodepilot::mesh
