// The policy of a mesh out of Kubernetes manifests: PeerAuthentication and DestinationRule, decoded
// as strictly as the configuration. Any other kind is refused, not passed over: an
// AuthorizationPolicy that nobody enforces, or a kind that is spelled wrong, would leave a workload
// open that its operator thinks protected.
// Thread: any; loading blocks on the disk.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config/error.h"
#include "agent/mesh/bootstrap.h"

namespace nodepilot {

struct Manifests {
  std::vector<mesh::PeerAuthentication> peers;
  std::vector<mesh::DestinationRule> rules;
};

// Adds what is in `text`, several documents or `kind: List`. `file` is the name used in errors.
// Yields every mistake.
ConfigErrors parse_manifests(std::string_view text, const std::string& file, Manifests& out);

// `path` is a file, or a directory whose *.yaml, *.yml and *.json are read, none below it and none
// whose name begins with a dot. 256 files and 4 MiB at most.
tl::expected<mesh::Policy, ConfigErrors> load_policy(const std::filesystem::path& path,
                                                     const std::string& root_namespace);

}  // namespace nodepilot
