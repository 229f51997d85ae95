// What a Workload API answered, checked before anybody uses it: `nodepilot fetch x509`.
// Thread: any.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "agent/base/secret.h"
#include "proto/spiffe/workload.pb.h"
#include "rotation/pki/x509_svid.h"

namespace nodepilot {

struct FetchedSvid {
  SpiffeId id;
  std::string hint;
  std::vector<Certificate> chain;  // leaf first
  PrivateKey key;
  TrustBundle bundle;
};

struct FetchedSvids {
  std::vector<FetchedSvid> svids;
  std::map<TrustDomain, TrustBundle> federated;

  // Every field is there and well-formed, each chain is valid for its ID under its bundle, each
  // key is that of its leaf. Of SVIDs with equal hints the first counts (Workload API section 8).
  static expected<FetchedSvids> check(const X509SVIDResponse& response, Time now);

  // As `spire-agent api fetch` prints it; never the keys.
  std::string pretty(std::chrono::microseconds took) const;
  std::string json() const;
  // Chains and bundles; not the keys.
  std::string pem() const;

  struct File {
    std::string name;
    mode_t mode;
    SecretBytes bytes;
  };
  // svid.N.pem, svid.N.key, bundle.N.pem, federated_bundle.N.M.pem: the names that spire-agent
  // writes.
  std::vector<File> files() const;
};

// The certificates of "DER DER DER". Exposed for tests.
expected<std::vector<Certificate>> parse_concatenated_der(std::string_view der);

}  // namespace nodepilot
