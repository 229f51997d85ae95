// A PKI mount of Vault or OpenBao as the CA (docs/vault.md). It signs no JWT-SVIDs.
#pragma once

#include <functional>

#include "agent/base/spiffe_id.h"
#include "rotation/ca/vault/vault_client.h"
#include "rotation/ca/vault/vault_options.h"
#include "rotation/ca/vault/vault_token.h"
#include "rotation/certificate_authority.h"

namespace nodepilot {

// Thread: worker, several at once. Each call ends within the timeout of the options, or within
// twice that if it has to wait for another's login. Errors name the server and carry what it said.
class VaultCa : public CertificateAuthority {
 public:
  // `now` is called from any thread. Asks and reads nothing yet.
  VaultCa(TrustDomain trust_domain, VaultOptions options, std::function<Time()> now);

  const char* name() const override { return "vault"; }
  // pki/sign/ROLE. A token that is refused is replaced, if there is another, and the request
  // repeated once.
  expected<std::vector<Certificate>> sign(const Csr& csr, const Entry& entry) override;
  // The file of the options, read each time, or the self-signed certificates in the chain of the
  // mount's default issuer. kFailedPrecondition if there are none.
  expected<TrustBundle> bundle() override;
  void stop() override { client_.stop(); }

 private:
  expected<nlohmann::json> call_with_token(VaultCall call, Deadline deadline);
  expected<std::vector<Certificate>> roots(Deadline deadline);

  // Constant after construction.
  const TrustDomain trust_domain_;
  const VaultOptions options_;
  const std::function<Time()> now_;
  // Synchronize themselves.
  VaultClient client_;
  VaultToken token_;
};

}  // namespace nodepilot
