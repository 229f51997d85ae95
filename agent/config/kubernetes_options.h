// How the node's kubelet is reached and how long its word counts: `attestors.kubernetes` of the
// configuration. A value.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "agent/base/time.h"
#include "attest/kubernetes/pod_finder.h"
#include "rotation/https/url.h"

namespace nodepilot {

struct KubeletCertificate {
  std::filesystem::path chain;
  std::filesystem::path key;
};

// Files are read at each request, so that new ones count without a restart.
struct KubernetesOptions {
  Url kubelet = *Url::parse("https://127.0.0.1:10250");
  // That every pod must run on; empty: not known, and not checked.
  std::string node_name{};
  std::optional<std::string> server_name{};
  std::filesystem::path ca_file = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
  bool skip_verify = false;
  std::filesystem::path token_file = "/var/run/secrets/kubernetes.io/serviceaccount/token";
  std::optional<KubeletCertificate> client_certificate{};  // instead of the token
  Duration timeout = std::chrono::seconds(10);
  PodFinder::Options finder{};

  // What the kubelet's certificate must be for: server_name, else the URL's host, but for a
  // loopback address the name of the node: no kubelet has a certificate for that address.
  std::string expected_name() const;
};

}  // namespace nodepilot
