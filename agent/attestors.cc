#include "agent/attestors.h"

#include "agent/config/attestors.h"
#include "attest/cgroup_root.h"
#include "attest/docker/docker_attestor.h"
#include "attest/systemd/systemd_attestor.h"
#include "attest/unix_attestor.h"

namespace nodepilot {
namespace {

// Only a rule that asks for a hash makes it worth it to read executables, and only one that asks
// for a name to ask the user database.
UnixAttestor::Options unix_options(const std::vector<Entry>& rules) {
  auto asked = [&](std::string_view kind) { return any_asks_for(rules, "unix", kind); };
  UnixAttestor::Options options;
  options.hash_executable = asked("sha256");
  options.look_up_names = asked("user") || asked("group") || asked("supplementary_group");
  return options;
}

}  // namespace

expected<ConfiguredAttestors> ConfiguredAttestors::open(const Config& config,
                                                        const std::function<Time()>& now) {
  const AttestorsConfig& wanted = config.attestors;
  CgroupRoot root;
  if (!wanted.host_cgroup.empty()) root = TRY(CgroupRoot::find(wanted.host_cgroup));
  ConfiguredAttestors made;
  if (wanted.kubernetes) {
    made.kubernetes_ = std::make_unique<const Kubernetes>(*wanted.kubernetes, root, now);
  }
  auto& others = made.attestors_;
  others.push_back(std::make_unique<UnixAttestor>(unix_options(config.entries)));
  // These ask another process about each caller, so they run only if a rule wants to know.
  if (wanted.docker && any_asks_for(config.entries, "docker")) {
    others.push_back(std::make_unique<DockerAttestor>(*wanted.docker, root));
  }
  if (wanted.systemd && any_asks_for(config.entries, "systemd")) {
    others.push_back(std::make_unique<SystemdAttestor>());
  }
  return made;
}

Attestors ConfiguredAttestors::all() const {
  Attestors all;
  // First: who is not listed yet comes again, and the others need not be asked until then.
  if (kubernetes_) all.push_back(&kubernetes_->attestor());
  for (const auto& attestor : attestors_) all.push_back(attestor.get());
  return all;
}

}  // namespace nodepilot
