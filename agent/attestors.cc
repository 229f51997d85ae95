#include "agent/attestors.h"

#include "agent/config_attestors.h"
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

ConfiguredAttestors::ConfiguredAttestors(const Config& config, const std::function<Time()>& now) {
  if (config.attestors.kubernetes) {
    kubernetes_ = std::make_unique<const Kubernetes>(*config.attestors.kubernetes, now);
  }
  attestors_.push_back(std::make_unique<UnixAttestor>(unix_options(config.entries)));
}

Attestors ConfiguredAttestors::all() const {
  Attestors all;
  // First: who is not listed yet comes again, and the others need not be asked until then.
  if (kubernetes_) all.push_back(&kubernetes_->attestor());
  for (const auto& attestor : attestors_) all.push_back(attestor.get());
  return all;
}

}  // namespace nodepilot
