// The embedded CA: a root of its own in the state directory, or a CA that the operator gives. It
// signs JWT-SVIDs too, always with keys of its own, which it rotates.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>

#include "rotation/ca/jwt_keys.h"
#include "rotation/certificate_authority.h"
#include "rotation/jwt_signer.h"

namespace nodepilot {

// Thread: worker, several at once.
class LocalCa : public CertificateAuthority, public JwtSigner {
 public:
  struct Options {
    TrustDomain trust_domain;
    // Where a root made by us is kept: STATE_DIR/local-ca.pem, key and certificate in one file,
    // mode 0600, so that a crash can never leave a key without its certificate. Beside it the JWT
    // keys: STATE_DIR/local-ca-jwt.json, mode 0600.
    std::filesystem::path state_dir;
    // An operator's CA instead: a PEM chain (signing certificate first, its root last or alone)
    // and the key of the first. Both or neither.
    std::optional<std::filesystem::path> certificate_file;
    std::optional<std::filesystem::path> key_file;
    Duration root_ttl = std::chrono::hours(24) * 3650;
    JwtKeyring::Policy jwt = {};
  };

  // `now` is called from any thread. Errors name the file and what mends it; nothing half-written.
  static expected<std::unique_ptr<LocalCa>> open(const Options& options, std::function<Time()> now);

  const char* name() const override { return "local"; }
  // ID and names come from `entry` alone. Never past the signing certificate's own end: the leaf
  // is cut short, and once less than ten seconds are left, kFailedPrecondition.
  expected<std::vector<Certificate>> sign(const Csr& csr, const Entry& entry) override;
  // The root and, turned by the clock, the JWT keys that verify or will verify.
  expected<TrustBundle> bundle() override;
  // Only for IDs that sign() would accept; cut to Options::jwt.longest_token.
  expected<JwtSvid> sign_jwt(const SpiffeId& id, const std::vector<std::string>& audience,
                             std::chrono::seconds ttl) override;

 private:
  LocalCa(PrivateKey key, std::vector<Certificate> chain, TrustBundle bundle,
          std::unique_ptr<JwtKeys> jwt_keys, Duration longest_jwt, std::function<Time()> now);
  expected<void> check_is_ours(const SpiffeId& id) const;
  Time end() const;  // of the signing certificate, or of one above it that ends earlier

  // Constant after construction; jwt_keys_ synchronizes itself.
  const PrivateKey key_;
  const std::vector<Certificate> chain_;  // signing certificate first, root left out
  const Certificate signer_;
  const TrustBundle bundle_;  // without JWT keys
  const std::unique_ptr<JwtKeys> jwt_keys_;
  const Duration longest_jwt_;
  const std::function<Time()> now_;
};

}  // namespace nodepilot
