// Which attestors run, and whether these are all that the rules need.
// Thread: any.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/entry.h"
#include "agent/config/kubernetes_options.h"
#include "agent/config/yaml_decoder.h"
#include "attest/docker/docker_attestor.h"

namespace nodepilot {

// Those that run besides `unix`, which always does.
struct AttestorsConfig {
  std::optional<KubernetesOptions> kubernetes{};
  std::optional<DockerAttestor::Options> docker{};
  bool systemd = false;
  // Where the host's cgroup2 is mounted; empty: our own cgroup namespace is the host's.
  std::filesystem::path host_cgroup{};
};

// Notes what is wrong.
AttestorsConfig decode_attestors(YamlMapping section);

// Whether `rule` asks for selectors of `type`; given a kind, for such ("k8s", "pod-label").
bool asks_for(const Entry& rule, std::string_view type, std::string_view kind = {});
bool any_asks_for(const std::vector<Entry>& rules, std::string_view type,
                  std::string_view kind = {});

// One sentence for each rule that could never hold since the attestor it needs is not configured.
std::vector<std::string> unattested(const std::vector<Entry>& rules,
                                    const AttestorsConfig& attestors);

}  // namespace nodepilot
