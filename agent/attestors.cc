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

ConfiguredAttestors::ConfiguredAttestors(const Config& config) {
  attestors_.push_back(std::make_unique<UnixAttestor>(unix_options(config.entries)));
}

Attestors ConfiguredAttestors::all() const {
  Attestors all;
  for (const auto& attestor : attestors_) all.push_back(attestor.get());
  return all;
}

}  // namespace nodepilot
