#include "agent/endpoint_certificate.h"

#include "agent/base/files.h"
#include "agent/base/log.h"

namespace nodepilot {
namespace {

constexpr Duration kCheckEvery = std::chrono::minutes(1);

}  // namespace

FileCertificate::FileCertificate(Clock& clock, Workers& workers, CertificateFiles files,
                                 ShowTls show)
    : clock_(clock),
      workers_(workers),
      files_(std::move(files)),
      show_(std::move(show)),
      alarm_(clock, [this] { reload(); }),
      self_(std::make_shared<FileCertificate*>(this)) {}

expected<FileCertificate::Loaded> FileCertificate::load(const CertificateFiles& files) {
  auto real_certificate = TRY(real_path(files.certificate_file));
  auto pem = TRY(read_file(real_certificate, kMaxPemBytes));
  auto chain = Certificate::parse_pem(pem);
  if (!chain) return fail_with(files.certificate_file.string(), chain.error());
  auto real_key = TRY(real_path(files.key_file));
  auto key_pem = TRY(read_private_file(real_key, kMaxPrivateKeyPemBytes));
  auto key = PrivateKey::parse_pem(key_pem);
  if (!key) return fail_with(files.key_file.string(), key.error());
  auto tls = make_server_tls(*chain, *key);
  if (!tls) {
    return fail_with(files.certificate_file.string() + " and " + files.key_file.string(),
                     tls.error());
  }
  return Loaded{*std::move(chain), std::make_shared<TlsContext>(*std::move(tls))};
}

expected<void> FileCertificate::start() {
  take(TRY(load(files_)));
  alarm_.set(clock_.now() + kCheckEvery);
  return {};
}

void FileCertificate::reload() {
  workers_.run([files = files_] { return load(files); },
               [weak = std::weak_ptr<FileCertificate*>(self_)](expected<Loaded> loaded) {
                 auto self = weak.lock();
                 if (!self) return;
                 if (loaded) {
                   (*self)->take(*std::move(loaded));
                 } else {
                   log::warn("certificate of the bundle endpoint not renewed",
                             {{"error", loaded.error().message}});
                 }
                 (*self)->alarm_.set((*self)->clock_.now() + kCheckEvery);
               });
}

void FileCertificate::take(Loaded loaded) {
  if (loaded.chain == shown_) return;
  shown_ = std::move(loaded.chain);
  log::info("certificate of the bundle endpoint",
            {{"serial", shown_.front().serial()},
             {"not_after", to_rfc3339(shown_.front().validity().not_after)}});
  show_(std::move(loaded.tls));
}

SvidCertificate::SvidCertificate(IdentityStore& store, ShowTls show)
    : show_(std::move(show)),
      subscription_(store.subscribe(endpoint_selectors(),
                                    [this](const UpdatePtr& update) { take(*update); })) {
  take(*subscription_->latest());
}

void SvidCertificate::take(const WorkloadUpdate& update) {
  if (update.svids.empty() || update.svids.front().svid == shown_) return;
  shown_ = update.svids.front().svid;
  auto tls = make_server_tls(shown_->chain(), shown_->key());
  if (!tls) return log::error("bundle endpoint", {{"error", tls.error().message}});
  show_(std::make_shared<TlsContext>(*std::move(tls)));
}

}  // namespace nodepilot
