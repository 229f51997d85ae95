// The section `mesh` of the configuration: which workloads of this node a mesh policy is rendered
// for.
// Thread: any.
#pragma once

#include <string_view>
#include <vector>

#include "agent/base/entry.h"
#include "agent/config/yaml_decoder.h"
#include "agent/mesh/workload.h"

namespace nodepilot {

// What is wrong is noted there. A workload's identity must be one of `entries`.
mesh::MeshConfig decode_mesh(const YamlValue& value, const TrustDomain& trust_domain,
                             const std::vector<Entry>& entries);

// A namespace or other name of Kubernetes: RFC 1123, lower case, at most `most` bytes, with dots if
// it is a host.
expected<std::string> parse_dns_label(std::string_view text);
expected<std::string> parse_dns_subdomain(std::string_view text);

// A mapping of labels; what is wrong is noted there.
mesh::Labels decode_labels(const YamlValue& value);

}  // namespace nodepilot
