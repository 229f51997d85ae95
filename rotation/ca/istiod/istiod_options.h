// How istiod is asked, or another CA that speaks Istio's CreateCertificate.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/time.h"

namespace nodepilot {

struct IstiodOptions {
  enum class AskAs {
    kSelf,       // for the identity that the token proves
    kNodeAgent,  // for any identity on this node, on the word of the agent's own token
  };

  std::vector<std::string> addresses{};  // "host:port", tried in this order; at least one
  std::filesystem::path token_file{"/var/run/secrets/tokens/istio-token"};
  // What the server is verified with; empty: the operating system's roots.
  std::optional<std::filesystem::path> root_file{"/var/run/secrets/istio/root-cert.pem"};
  // The first roots of certificates that the CA signs; those of root_file if it is not given.
  std::optional<std::filesystem::path> trust_bundle_file{};
  std::string server_name{};  // in the server's certificate; if empty, the host of its address
  std::string cluster_id{"Kubernetes"};
  std::vector<std::pair<std::string, std::string>> headers{};
  // Shown to the server if given; both or neither.
  std::optional<std::filesystem::path> certificate_file{};
  std::optional<std::filesystem::path> key_file{};
  std::string cert_signer{};  // which signer a CA that has several shall take; may be empty
  AskAs ask_as = AskAs::kSelf;
  Duration timeout = std::chrono::seconds(10);  // for one certificate, over all addresses
};

}  // namespace nodepilot
