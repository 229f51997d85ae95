// The outbound side of a workload: for each service a listener that the application connects to,
// and the cluster, with the TLS that the service's DestinationRule or auto mTLS asks for.
// Pure. Thread: any.
#pragma once

#include "agent/base/result.h"
#include "agent/mesh/destination_rule.h"
#include "agent/mesh/envoy_parts.h"
#include "agent/mesh/policy_set.h"
#include "proto/envoy/listener.pb.h"

namespace nodepilot::mesh {

// `rule` is null, or has the service's host.
//   rule says       TLS
//   DISABLE         none
//   SIMPLE, MUTUAL  as written
//   ISTIO_MUTUAL    the mesh's, to every endpoint
//   nothing         auto mTLS: the mesh's, to endpoints with a proxy whose own policy does not say
//                   DISABLE; none if that is what the service's mesh and namespace say
// kFailedPrecondition if nothing tells who may answer for the service.
expected<envoy::config::cluster::v3::Cluster> outbound_cluster(const Surroundings& surroundings,
                                                               const PolicySet& policies,
                                                               const Service& service,
                                                               const DestinationRule* rule);
envoy::config::listener::v3::Listener outbound_listener(const Service& service);

}  // namespace nodepilot::mesh
