#include "rotation/ca/istiod/client_certificate.h"

#include "agent/base/files.h"
#include "rotation/pki/certificate.h"

namespace nodepilot {

ShownCertificatePtr ClientCertificate::read() {
  std::lock_guard lock(mutex_);
  Time now = now_();
  auto refreshed = refresh();
  if (!refreshed) {
    fault_.warn("client certificate for the CA not read", refreshed.error(), now);
  } else if (shown_->not_after < now) {
    fault_.warn("client certificate for the CA not shown",
                {Code::kFailedPrecondition,
                 certificate_file_.string() + ": ended at " + to_rfc3339(shown_->not_after)},
                now);
  } else {
    fault_.over();
  }
  return shown_ && now <= shown_->not_after ? shown_ : nullptr;
}

expected<void> ClientCertificate::refresh() {
  auto certificate_file = TRY(real_path(certificate_file_));
  std::string pem = TRY(read_file(certificate_file, kMaxPemBytes));
  auto key_file = TRY(real_path(key_file_));
  SecretBytes key_pem = TRY(read_private_file(key_file, kMaxPrivateKeyPemBytes));
  if (shown_ && shown_->chain_pem == pem && shown_->key_pem == key_pem) return {};
  auto chain = Certificate::parse_pem(pem);
  if (!chain) return fail_with(certificate_file_.string(), chain.error());
  auto key = PrivateKey::parse_pem(key_pem);
  if (!key) return fail_with(key_file_.string(), key.error());
  if (!chain->front().has_key(*key)) {
    return fail(Code::kFailedPrecondition,
                key_file_.string() + ": is not the key of " + certificate_file_.string());
  }
  shown_ = std::make_shared<const ShownCertificate>(
      ShownCertificate{std::move(pem), std::move(key_pem), chain->front().validity().not_after});
  return {};
}

}  // namespace nodepilot
