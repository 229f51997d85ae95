// The TLS of the mesh in Envoy's words: certificate and roots by SDS from the agent, peers by their
// SPIFFE IDs. A context never accepts every peer of a CA for want of a list.
// Pure. Thread: any.
#pragma once

#include "agent/base/result.h"
#include "agent/mesh/destination_rule.h"
#include "agent/mesh/envoy_parts.h"

namespace nodepilot::mesh {

// Of a filter chain: demands a certificate of the trust domain or one of its aliases.
envoy::config::core::v3::TransportSocket inbound_tls(const Surroundings& surroundings,
                                                     Protocol protocol);

envoy::config::core::v3::TransportSocket plaintext();

// Mutual TLS to a service: as the workload, to nobody but the service's accounts under any name of
// the trust domain, or those that the rule names. kFailedPrecondition if there are none.
expected<envoy::config::core::v3::TransportSocket> istio_mutual_tls(
    const Surroundings& surroundings, const Service& service, const ClientTls& rule = {});

// TLS that is not the mesh's, kSimple or kMutual. Who names no roots gets the operating system's,
// who names no subject the service's host.
envoy::config::core::v3::TransportSocket foreign_tls(const Service& service, const ClientTls& rule);

}  // namespace nodepilot::mesh
