#include "rotation/ca/signer.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "agent/base/files.h"
#include "rotation/pki/issuer.h"
#include "rotation/pki/x509_svid.h"

namespace nodepilot {
namespace fs = std::filesystem;
namespace {

std::string_view text_of(const SecretBytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

expected<void> check_own_id(const Certificate& certificate, const TrustDomain& trust_domain) {
  for (const std::string& uri : certificate.uri_sans()) {
    auto id = SpiffeId::parse(uri);
    if (!id || id->str() == trust_domain.id()) continue;
    return fail(Code::kInvalidArgument,
                fmt::format("the signing certificate carries {}; with trust_domain {} it may carry "
                            "{} or no SPIFFE ID",
                            uri, trust_domain.name(), trust_domain.id()));
  }
  return {};
}

expected<void> check_ends(const Signer& signer, Time now) {
  for (const Certificate& certificate : signer.chain) {
    Time end = certificate.validity().not_after;
    if (end > now) continue;
    return fail(Code::kFailedPrecondition,
                fmt::format("certificate \"{}\" expired at {}; it is {}", certificate.subject(),
                            to_rfc3339(end), to_rfc3339(now)));
  }
  return {};
}

// Issues for a key that is thrown away, and holds the chain against all that an SVID must pass: a
// wrong order, path length or name constraint shows at start, not at the first workload.
expected<X509Svid> issue_trial(const Signer& signer, const TrustBundle& bundle, Time now) {
  auto key = TRY(PrivateKey::generate());
  auto id = TRY(SpiffeId::make(bundle.trust_domain(), "/trial"));
  Entry entry{.id = "trial", .spiffe_id = id, .match = {}, .dns_names = {}, .hint = {}};
  auto csr = TRY(Csr::create(key, id));
  Validity validity{now - kBackdate, now + kBackdate};
  auto leaf = TRY(make_leaf(signer.key, signer.certificate(), csr, entry, validity));
  std::vector<Certificate> chain{leaf};
  chain.insert(chain.end(), signer.chain.begin(), signer.chain.end());
  return X509Svid::verified(key, chain, bundle, {.id = id, .dns_names = {}, .now = now});
}

}  // namespace

expected<Signer> read_signer(const fs::path& certificate_file, const fs::path& key_file) {
  auto key_text = TRY(read_private_file(key_file, kMaxPrivateKeyPemBytes));
  auto key = PrivateKey::parse_pem(key_text);
  if (!key) return fail_with(key_file.string(), key.error());
  auto chain_text = TRY(read_file(certificate_file, kMaxPemBytes));
  auto chain = Certificate::parse_pem(chain_text);
  if (!chain) return fail_with(certificate_file.string(), chain.error());
  return Signer{*std::move(key), *std::move(chain)};
}

expected<Signer> parse_own_signer(const SecretBytes& text) {
  auto key = TRY(PrivateKey::parse_pem(text));
  std::string_view certificates = text_of(text);
  certificates.remove_prefix(
      std::min(certificates.find("-----BEGIN CERTIFICATE"), certificates.size()));
  auto chain = TRY(Certificate::parse_pem(certificates));
  return Signer{std::move(key), std::move(chain)};
}

expected<Signer> make_own_signer(const fs::path& file, const TrustDomain& trust_domain,
                                 Validity validity) {
  auto key = TRY(PrivateKey::generate());
  auto root = TRY(make_root(key, trust_domain, validity));
  SecretBytes text = key.pkcs8_pem();
  std::string certificate = root.pem();
  text.insert(text.end(), certificate.begin(), certificate.end());
  TRY(write_file_atomic(file, text_of(text), 0600));
  return Signer{std::move(key), {std::move(root)}};
}

expected<std::vector<Certificate>> check_signer(const Signer& signer, const TrustBundle& bundle,
                                                Time now) {
  if (!signer.certificate().has_key(signer.key)) {
    return fail(Code::kInvalidArgument, "the private key does not belong to the first certificate");
  }
  if (!signer.certificate().can_sign()) {
    return fail(Code::kInvalidArgument,
                "the first certificate is not a CA's; basicConstraints CA:TRUE and keyUsage "
                "keyCertSign are needed");
  }
  TRY(check_own_id(signer.certificate(), bundle.trust_domain()));
  if (!signer.root().is_self_signed()) {
    return fail(Code::kInvalidArgument,
                fmt::format("the last certificate, \"{}\", is not a self-signed root; append what "
                            "is missing up to the root",
                            signer.root().subject()));
  }
  TRY(check_ends(signer, now));
  auto trial = issue_trial(signer, bundle, now);
  if (!trial) return fail_with("a trial certificate does not verify", trial.error());
  return std::vector(trial->chain().begin() + 1, trial->chain().end());
}

}  // namespace nodepilot
