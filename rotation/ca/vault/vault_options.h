// Which Vault or OpenBao server signs, as what it knows us, and what it is asked for. All of it
// comes from the configuration.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/base/time.h"
#include "rotation/https/url.h"

namespace nodepilot {

// A token that somebody else puts and renews there.
struct VaultTokenFile {
  std::filesystem::path file;
};

struct VaultAppRole {
  std::string mount = "approle";
  std::string role_id;
  std::filesystem::path secret_id_file;
};

// The token of the pod's service account.
struct VaultKubernetes {
  std::string mount = "kubernetes";
  std::string role;
  std::filesystem::path jwt_file = "/var/run/secrets/kubernetes.io/serviceaccount/token";
};

// A TLS client certificate.
struct VaultCertificate {
  std::string mount = "cert";
  std::string role;  // empty: Vault looks for one that fits
  std::filesystem::path certificate_file;
  std::filesystem::path key_file;
};

using VaultAuth = std::variant<VaultTokenFile, VaultAppRole, VaultKubernetes, VaultCertificate>;

// A value. Files are read when they are needed, so that new ones count without a restart.
struct VaultOptions {
  std::vector<Url> addresses{};  // of one cluster, without path; one at least
  std::string mount = "pki";
  std::string role;
  std::string name_space;  // of the mounts; empty: that of the server's root
  std::optional<std::filesystem::path> ca_file{};            // of the server; none: the system's
  std::optional<std::filesystem::path> trust_bundle_file{};  // roots, if not those of the mount
  Duration timeout = std::chrono::seconds(10);
  VaultAuth auth{};
};

}  // namespace nodepilot
