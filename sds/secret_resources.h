// Envoy secrets by name, out of what one caller may see: a name is a filter over that, never a key
// into anything else. Pure.
//
//   default            the first identity, in the order of the entries
//   spiffe://TD/path   that identity
//   ROOTCA             the roots of our own trust domain
//   spiffe://TD        the roots of that trust domain, ours or a federated one
//   ALL                the roots of every trust domain, each kept apart
//   file-...           see file_secret.h
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/envoy/core.pb.h"
#include "proto/envoy/tls.pb.h"
#include "rotation/workload_update.h"
#include "sds/file_secret.h"
#include "sds/secret_options.h"

namespace nodepilot {

// SPIRE's rules: the node's metadata disable_spiffe_cert_validation says it either way, else
// `otherwise` holds; but an Envoy of 1.17 or before has no such validator.
TrustForm trust_form(const envoy::config::core::v3::Node& node, TrustForm otherwise);

// Whether a name stands for something now, will by itself (an SVID that is not issued yet, or has
// expired), or does not.
enum class SecretState { kPresent, kPending, kAbsent };

struct FileAnswer {
  SecretState state = SecretState::kPending;
  FileSecretPtr secret;  // kPresent
  std::string why;       // kAbsent
};

// What one caller may see at one moment.
struct SecretView {
  UpdatePtr update;
  std::map<std::string, FileAnswer> files;  // by name, those that the client asked for
};

// What a name stands for: an identity, a file, or the roots of trust domains.
// Points into the view that it was found in.
struct SecretContent {
  const HeldSvid* identity = nullptr;
  const FileSecret* file = nullptr;
  std::vector<const TrustBundle*> bundles;
  TrustForm form = TrustForm::kSpiffeValidator;  // of bundles
  PeerRules peers;                               // of bundles

  bool is_trust() const { return !has_key(); }
  bool has_key() const { return identity != nullptr || (file != nullptr && file->key); }
};

struct SecretLookup {
  SecretState state = SecretState::kAbsent;
  SecretContent content;  // kPresent
  std::string why;        // kAbsent
};

SecretLookup find_secret(const SecretView& view, std::string_view name,
                         const SecretOptions& options, TrustForm form);

// The names that a subscription to everything gets: own and federated trust domains and every
// identity, but no aliases and no files.
std::vector<std::string> all_secret_names(const WorkloadUpdate& update);

// What every entry that restricts its peers allows; empty if none does. Nullopt if nothing is left:
// Envoy takes any of several rules for enough, so rules of two entries cannot both be told.
std::optional<PeerRules> common_peers(const std::vector<EntryPtr>& entries);

// Depends on public content alone: equal content has the same version before and after a restart of
// the agent, and under each of its names.
std::string secret_version(const SecretContent& content);

envoy::extensions::transport_sockets::tls::v3::Secret render_secret(const std::string& name,
                                                                    const SecretContent& content);

}  // namespace nodepilot
