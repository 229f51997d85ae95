// Envoy secrets by name, out of what one caller may see: a name is a filter over that, never a key
// into anything else. Pure.
//
//   default            the first identity, in the order of the entries
//   spiffe://TD/path   that identity
//   ROOTCA             the roots of our own trust domain
//   spiffe://TD        the roots of that trust domain, ours or a federated one
//   ALL                the roots of every trust domain, each kept apart
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/envoy/core.pb.h"
#include "proto/envoy/tls.pb.h"
#include "rotation/workload_update.h"

namespace nodepilot {

// How a client checks its peers: with Envoy's SPIFFE validator, which holds each trust domain to
// its own roots, or with one list of roots.
enum class TrustForm { kSpiffeValidator, kTrustedCa };

// SPIRE's rules: a list if the node's metadata says disable_spiffe_cert_validation, or if it is an
// Envoy of 1.17 or before, which has no such validator.
TrustForm trust_form(const envoy::config::core::v3::Node& node);

// What a name stands for at one moment: an identity, or the roots of trust domains.
// Points into the update that it was found in.
struct SecretContent {
  const HeldSvid* identity = nullptr;
  std::vector<const TrustBundle*> bundles;  // only without an identity
  TrustForm form = TrustForm::kSpiffeValidator;

  bool is_trust() const { return identity == nullptr; }
};

// Empty if the caller has nothing of that name, or nothing yet.
std::optional<SecretContent> find_secret(const WorkloadUpdate& update, std::string_view name,
                                         TrustForm form);

// The names that a subscription to everything gets: own and federated trust domains and every
// identity, but no aliases.
std::vector<std::string> all_secret_names(const WorkloadUpdate& update);

// Tells whether content has changed; made of public parts only.
std::size_t fingerprint(const SecretContent& content);

envoy::extensions::transport_sockets::tls::v3::Secret render_secret(const std::string& name,
                                                                    const SecretContent& content);

}  // namespace nodepilot
