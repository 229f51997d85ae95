// What commands about the mesh begin with. Thread: main.
#pragma once

#include <filesystem>
#include <string>

#include "agent/cli/exit_code.h"
#include "agent/config/config.h"
#include "agent/mesh/bootstrap.h"

namespace nodepilot {

struct MeshPolicy {
  Config config;
  mesh::Policy policy;
};

// The configuration and the policy that it names. What is wrong has been printed.
tl::expected<MeshPolicy, ExitCode> load_mesh(const std::filesystem::path& config);

// "unknown workload "wbe" (did you mean "web"?)", printed.
ExitCode report_unknown_workload(const Config& config, const std::string& name);

// "shop/web (web.yaml:3), its entry for the port".
std::string origin_of(const mesh::Verdict& verdict);

}  // namespace nodepilot
