// istiod, or another CA that speaks Istio's CreateCertificate, such as istio-csr.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "rotation/ca/istiod/authentication_race.h"
#include "rotation/ca/istiod/client_certificate.h"
#include "rotation/ca/istiod/istiod_client.h"
#include "rotation/ca/istiod/istiod_options.h"
#include "rotation/ca/istiod/istiod_roots.h"
#include "rotation/ca/istiod/token_source.h"
#include "rotation/certificate_authority.h"

namespace nodepilot {

// Thread: worker, several at once; stop() any.
class IstiodCa : public CertificateAuthority {
 public:
  // Touches neither file nor network. `now` is called from any thread.
  IstiodCa(TrustDomain trust_domain, const IstiodOptions& options,
           std::unique_ptr<TokenSource> tokens, std::function<Time()> now);

  const char* name() const override { return "istiod"; }
  // One request, over all addresses, within IstiodOptions::timeout. What the CA refuses for want of
  // authentication is kUnauthenticated, with what is likely wrong; but while a node agent's request
  // may just have come too early it is kUnavailable, to be retried soon.
  expected<std::vector<Certificate>> sign(const Csr& csr, const Entry& entry) override;
  // The operator's roots and those of the last answer; asks nobody.
  expected<TrustBundle> bundle() override;
  void stop() override { client_.stop(); }

 private:
  Error explain(const Entry& entry, const SecretBytes& token, Error error);

  // Constant after construction; but for these two all synchronize themselves.
  const IstiodOptions options_;
  const std::function<Time()> now_;
  const std::unique_ptr<TokenSource> tokens_;
  std::optional<ClientCertificate> certificate_;
  IstiodRoots roots_;
  IstiodClient client_;
  AuthenticationRace race_;
};

}  // namespace nodepilot
