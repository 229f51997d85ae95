// The configuration file: YAML, decoded strictly. Every mistake is reported, with its place.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/entry.h"
#include "agent/base/log.h"
#include "agent/config/attestors.h"
#include "agent/config/ca.h"
#include "agent/config/error.h"
#include "agent/config/publication.h"
#include "agent/config/state.h"
#include "agent/config/telemetry.h"
#include "agent/mesh/workload.h"
#include "rotation/federation/federation.h"
#include "rotation/outputs/output.h"
#include "rotation/rotator.h"
#include "sds/rpc/limits.h"
#include "sds/secret_options.h"

namespace nodepilot {

struct Config {
  struct Socket {
    std::filesystem::path path;
    mode_t mode;
  };

  TrustDomain trust_domain;
  Socket listen{"/run/nodepilot/public/api.sock", 0666};
  Socket admin{"/run/nodepilot/admin/admin.sock", 0660};
  std::filesystem::path state_dir{"/var/lib/nodepilot"};
  StateConfig state{};
  CaConfig ca{};
  AttestorsConfig attestors{};
  std::vector<Entry> entries{};
  std::vector<Federation> federations{};
  std::optional<Publication> publication{};
  std::vector<Output> outputs{};
  std::optional<TelemetryConfig> telemetry{};
  std::optional<mesh::MeshConfig> mesh{};
  Rotator::Options rotation{};
  SecretOptions sds{};
  Limits limits{};
  log::Level log_level = log::Level::kInfo;
  log::Format log_format = log::Format::kLogfmt;
};

// `file` is the name used in errors. Thread: any.
tl::expected<Config, ConfigErrors> parse_config(std::string_view yaml, const std::string& file);
tl::expected<Config, ConfigErrors> load_config(const std::filesystem::path& file);

// `run --dev`: embedded CA, one identity (spiffe://dev.local/...) for `uid`, everything below
// `dir`.
Config dev_config(const std::filesystem::path& dir, uid_t uid);

}  // namespace nodepilot
