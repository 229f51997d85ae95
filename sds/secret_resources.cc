#include "sds/secret_resources.h"

#include <algorithm>

#include "agent/base/sha256.h"

namespace nodepilot {
namespace {

namespace tls = envoy::extensions::transport_sockets::tls::v3;

// The spellings are those of Go's strconv.ParseBool, which SPIRE uses; all others say nothing.
std::optional<bool> read_flag(const google::protobuf::Value& value) {
  if (value.kind_case() == google::protobuf::Value::kBoolValue) return value.bool_value();
  if (value.kind_case() != google::protobuf::Value::kStringValue) return std::nullopt;
  const std::string& text = value.string_value();
  for (const char* yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (text == yes) return true;
  }
  for (const char* no : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (text == no) return false;
  }
  return std::nullopt;
}

// Of a trust domain whose roots were all revoked nothing may be told: Envoy rejects a validator
// with an empty list, and the other trust domains with it.
bool has_roots(const BundlePtr& bundle) { return bundle && !bundle->roots().empty(); }

std::vector<const TrustBundle*> all_bundles(const WorkloadUpdate& update) {
  std::vector<const TrustBundle*> bundles;
  if (has_roots(update.bundle)) bundles.push_back(update.bundle.get());
  for (const auto& [trust_domain, bundle] : update.federated) {
    bool is_own = update.bundle && trust_domain == update.bundle->trust_domain();
    if (has_roots(bundle) && !is_own) bundles.push_back(bundle.get());
  }
  std::sort(bundles.begin(), bundles.end(), [](const TrustBundle* a, const TrustBundle* b) {
    return a->trust_domain() < b->trust_domain();
  });
  return bundles;
}

SecretLookup pending() { return {.state = SecretState::kPending, .content = {}, .why = ""}; }
SecretLookup absent(std::string why) {
  return {.state = SecretState::kAbsent, .content = {}, .why = std::move(why)};
}
SecretLookup present(SecretContent content) {
  return {.state = SecretState::kPresent, .content = std::move(content), .why = ""};
}
SecretLookup identity(const HeldSvid& held) {
  SecretContent content;
  content.identity = &held;
  return present(std::move(content));
}

// It waits while any first SVID is on its way: it shall not be one identity now and another a
// moment later.
SecretLookup find_default(const WorkloadUpdate& update) {
  return update.settled && !update.svids.empty() ? identity(update.svids.front()) : pending();
}

// Not here yet, in contrast to one whose keys were all revoked.
bool is_awaited_domain(const WorkloadUpdate& update, std::string_view name) {
  return std::any_of(update.entries.begin(), update.entries.end(), [&](const EntryPtr& entry) {
    const auto& foreign = entry->federates_with;
    return std::any_of(foreign.begin(), foreign.end(), [&](const TrustDomain& trust_domain) {
      return trust_domain.id() == name && !update.federated.contains(trust_domain);
    });
  });
}

SecretLookup find_identity(const WorkloadUpdate& update, std::string_view name) {
  for (const HeldSvid& held : update.svids) {
    if (held.svid->id().str() == name) return identity(held);
  }
  for (const EntryPtr& entry : update.entries) {
    if (entry->spiffe_id.str() == name) return pending();
  }
  return absent("it is no identity of this caller and no trust domain that it may know");
}

bool is_own_domain(const WorkloadUpdate& update, std::string_view name) {
  if (update.bundle) return update.bundle->trust_domain().id() == name;
  return !update.entries.empty() && update.entries.front()->spiffe_id.trust_domain().id() == name;
}

SecretLookup trust_in(const WorkloadUpdate& update, std::vector<const TrustBundle*> bundles,
                      TrustForm form) {
  auto peers = common_peers(update.entries);
  if (!peers) return absent("no peer is allowed by `peers` of every entry of this caller");
  SecretContent content;
  content.bundles = std::move(bundles);
  content.form = form;
  content.peers = *std::move(peers);
  return present(std::move(content));
}

SecretLookup find_all_roots(const WorkloadUpdate& update, TrustForm form) {
  if (form == TrustForm::kTrustedCa) {
    return absent("in one trusted_ca list every trust domain could speak for every other");
  }
  return has_roots(update.bundle) ? trust_in(update, all_bundles(update), form) : pending();
}

SecretLookup find_file(const SecretView& view, std::string_view name) {
  auto it = view.files.find(std::string(name));
  if (it == view.files.end()) return pending();
  const FileAnswer& answer = it->second;
  if (answer.state != SecretState::kPresent) return {answer.state, {}, answer.why};
  SecretContent content;
  content.file = answer.secret.get();
  return present(std::move(content));
}

tls::TlsCertificate render_certificate(const std::vector<Certificate>& chain,
                                       const PrivateKey& key) {
  tls::TlsCertificate certificate;
  certificate.mutable_certificate_chain()->set_inline_bytes(concatenated_pem(chain));
  const SecretBytes pem = key.pkcs8_pem();
  certificate.mutable_private_key()->set_inline_bytes(pem.data(), pem.size());
  return certificate;
}

void render_peers(const PeerRules& peers, tls::CertificateValidationContext& context) {
  for (const PeerRule& rule : peers) {
    auto& matcher = *context.add_match_typed_subject_alt_names();
    matcher.set_san_type(tls::SubjectAltNameMatcher::URI);
    switch (rule.kind) {
      case PeerRule::Kind::kExact:
        matcher.mutable_matcher()->set_exact(rule.text);
        break;
      case PeerRule::Kind::kPrefix:
        matcher.mutable_matcher()->set_prefix(rule.text);
        break;
      case PeerRule::Kind::kSuffix:
        matcher.mutable_matcher()->set_suffix(rule.text);
        break;
    }
  }
}

tls::CertificateValidationContext render_trust(const SecretContent& content) {
  tls::CertificateValidationContext context;
  if (content.file != nullptr) {
    context.mutable_trusted_ca()->set_inline_bytes(concatenated_pem(content.file->certificates));
    return context;
  }
  render_peers(content.peers, context);
  if (content.form == TrustForm::kTrustedCa) {
    context.mutable_trusted_ca()->set_inline_bytes(content.bundles.front()->pem());
    return context;
  }
  tls::SPIFFECertValidatorConfig validator;
  for (const TrustBundle* bundle : content.bundles) {
    auto& trust_domain = *validator.add_trust_domains();
    trust_domain.set_name(bundle->trust_domain().name());
    trust_domain.mutable_trust_bundle()->set_inline_bytes(bundle->pem());
  }
  auto& extension = *context.mutable_custom_validator_config();
  extension.set_name("envoy.tls.cert_validator.spiffe");
  extension.mutable_typed_config()->PackFrom(validator);
  return context;
}

}  // namespace

TrustForm trust_form(const envoy::config::core::v3::Node& node, TrustForm otherwise) {
  const auto& version = node.user_agent_build_version().version();
  if (version.major_number() == 1 && version.minor_number() <= 17) return TrustForm::kTrustedCa;

  const auto& metadata = node.metadata().fields();
  auto field = metadata.find("disable_spiffe_cert_validation");
  auto disabled = field == metadata.end() ? std::nullopt : read_flag(field->second);
  if (!disabled) return otherwise;
  return *disabled ? TrustForm::kTrustedCa : TrustForm::kSpiffeValidator;
}

SecretLookup find_secret(const SecretView& view, std::string_view name,
                         const SecretOptions& options, TrustForm form) {
  if (is_file_name(name)) return find_file(view, name);
  const WorkloadUpdate& update = *view.update;
  if (name == options.default_identity) return find_default(update);
  if (name == options.all_roots) return find_all_roots(update, form);
  if (name == options.own_roots || is_own_domain(update, name)) {
    return has_roots(update.bundle) ? trust_in(update, {update.bundle.get()}, form) : pending();
  }
  for (const TrustBundle* bundle : all_bundles(update)) {
    if (bundle->trust_domain().id() == name) return trust_in(update, {bundle}, form);
  }
  return is_awaited_domain(update, name) ? pending() : find_identity(update, name);
}

std::vector<std::string> all_secret_names(const WorkloadUpdate& update) {
  std::vector<std::string> names;
  for (const TrustBundle* bundle : all_bundles(update)) {
    names.push_back(bundle->trust_domain().id());
  }
  for (const HeldSvid& held : update.svids) names.push_back(held.svid->id().str());
  return names;
}

std::optional<PeerRules> common_peers(const std::vector<EntryPtr>& entries) {
  PeerRules common;
  for (const EntryPtr& entry : entries) {
    if (entry->peers.empty()) continue;
    if (common.empty()) {
      common = entry->peers;
      continue;
    }
    std::erase_if(common, [&](const PeerRule& rule) { return !entry->peers.contains(rule); });
    if (common.empty()) return std::nullopt;
  }
  return common;
}

std::string secret_version(const SecretContent& content) {
  if (content.identity != nullptr) {
    return sha256_hex(concatenated_der(content.identity->svid->chain()));
  }
  if (content.file != nullptr) return content.file->version;
  std::string bytes = content.form == TrustForm::kTrustedCa ? "list" : "validator";
  for (const TrustBundle* bundle : content.bundles) {
    bytes += '\0' + bundle->trust_domain().name() + '\0' + bundle->der();
  }
  for (const PeerRule& rule : content.peers) {
    bytes += '\0' + std::to_string(static_cast<int>(rule.kind)) + rule.text;
  }
  return sha256_hex(bytes);
}

tls::Secret render_secret(const std::string& name, const SecretContent& content) {
  tls::Secret secret;
  secret.set_name(name);
  if (content.identity != nullptr) {
    const X509Svid& svid = *content.identity->svid;
    *secret.mutable_tls_certificate() = render_certificate(svid.chain(), svid.key());
  } else if (content.file != nullptr && content.file->key) {
    *secret.mutable_tls_certificate() =
        render_certificate(content.file->certificates, *content.file->key);
  } else {
    *secret.mutable_validation_context() = render_trust(content);
  }
  return secret;
}

}  // namespace nodepilot
