#include "sds/secret_resources.h"

#include <algorithm>
#include <functional>

namespace nodepilot {
namespace {

namespace tls = envoy::extensions::transport_sockets::tls::v3;

constexpr std::string_view kDefaultIdentity = "default";
constexpr std::string_view kOwnRoots = "ROOTCA";
constexpr std::string_view kAllRoots = "ALL";

// The spellings are those of Go's strconv.ParseBool, which SPIRE uses; all others say nothing.
bool says_true(const google::protobuf::Value& value) {
  if (value.kind_case() == google::protobuf::Value::kBoolValue) return value.bool_value();
  if (value.kind_case() != google::protobuf::Value::kStringValue) return false;
  const std::string& text = value.string_value();
  return text == "1" || text == "t" || text == "T" || text == "true" || text == "TRUE" ||
         text == "True";
}

// The default waits while any first SVID is on its way: it shall not be one identity now and
// another a moment later.
const HeldSvid* find_identity(const WorkloadUpdate& update, std::string_view name) {
  if (name == kDefaultIdentity) {
    return update.settled && !update.svids.empty() ? &update.svids.front() : nullptr;
  }
  auto it = std::find_if(update.svids.begin(), update.svids.end(),
                         [&](const HeldSvid& held) { return held.svid->id().str() == name; });
  return it == update.svids.end() ? nullptr : &*it;
}

std::vector<const TrustBundle*> all_bundles(const WorkloadUpdate& update) {
  std::vector<const TrustBundle*> bundles{update.bundle.get()};
  for (const auto& [trust_domain, bundle] : update.federated) {
    if (trust_domain != update.bundle->trust_domain()) bundles.push_back(bundle.get());
  }
  std::sort(bundles.begin(), bundles.end(), [](const TrustBundle* a, const TrustBundle* b) {
    return a->trust_domain() < b->trust_domain();
  });
  return bundles;
}

std::vector<const TrustBundle*> find_bundles(const WorkloadUpdate& update, std::string_view name,
                                             TrustForm form) {
  if (!update.bundle) return {};
  if (name == kOwnRoots) return {update.bundle.get()};
  if (name == kAllRoots) {
    // In one list every trust domain could speak for every other.
    if (form == TrustForm::kTrustedCa) return {};
    return all_bundles(update);
  }
  for (const TrustBundle* bundle : all_bundles(update)) {
    if (bundle->trust_domain().id() == name) return {bundle};
  }
  return {};
}

tls::TlsCertificate render_identity(const X509Svid& svid) {
  tls::TlsCertificate certificate;
  certificate.mutable_certificate_chain()->set_inline_bytes(concatenated_pem(svid.chain()));
  const SecretBytes key = svid.key().pkcs8_pem();
  certificate.mutable_private_key()->set_inline_bytes(key.data(), key.size());
  return certificate;
}

tls::CertificateValidationContext render_trust(const SecretContent& content) {
  tls::CertificateValidationContext context;
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

TrustForm trust_form(const envoy::config::core::v3::Node& node) {
  const auto& metadata = node.metadata().fields();
  auto disabled = metadata.find("disable_spiffe_cert_validation");
  if (disabled != metadata.end() && says_true(disabled->second)) return TrustForm::kTrustedCa;

  const auto& version = node.user_agent_build_version().version();
  bool too_old = version.major_number() == 1 && version.minor_number() <= 17;
  return too_old ? TrustForm::kTrustedCa : TrustForm::kSpiffeValidator;
}

std::optional<SecretContent> find_secret(const WorkloadUpdate& update, std::string_view name,
                                         TrustForm form) {
  SecretContent content{find_identity(update, name), {}, form};
  if (content.is_trust()) content.bundles = find_bundles(update, name, form);
  if (content.is_trust() && content.bundles.empty()) return std::nullopt;
  return content;
}

std::vector<std::string> all_secret_names(const WorkloadUpdate& update) {
  std::vector<std::string> names;
  if (update.bundle) {
    for (const TrustBundle* bundle : all_bundles(update)) {
      names.push_back(bundle->trust_domain().id());
    }
  }
  for (const HeldSvid& held : update.svids) names.push_back(held.svid->id().str());
  return names;
}

std::size_t fingerprint(const SecretContent& content) {
  std::string bytes;
  if (content.is_trust()) {
    bytes = content.form == TrustForm::kTrustedCa ? "list" : "validator";
    for (const TrustBundle* bundle : content.bundles) {
      bytes += ' ' + bundle->trust_domain().name() + ' ' + bundle->der();
    }
  } else {
    bytes = concatenated_der(content.identity->svid->chain());
  }
  return std::hash<std::string>()(bytes);
}

tls::Secret render_secret(const std::string& name, const SecretContent& content) {
  tls::Secret secret;
  secret.set_name(name);
  if (content.is_trust()) {
    *secret.mutable_validation_context() = render_trust(content);
  } else {
    *secret.mutable_tls_certificate() = render_identity(*content.identity->svid);
  }
  return secret;
}

}  // namespace nodepilot
