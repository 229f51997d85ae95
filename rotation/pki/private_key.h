// Private keys. A value: copies share one key, and the last one gone wipes it.
#pragma once

#include <openssl/types.h>

#include <memory>
#include <string>

#include "agent/base/result.h"
#include "agent/base/secret.h"

namespace nodepilot {

inline constexpr std::size_t kMaxPrivateKeyPemBytes = std::size_t{64} * 1024;

// Immutable. Thread: any. Has no printer, and the serialisers return wiping buffers.
class PrivateKey {
 public:
  // A fresh P-256 key.
  static expected<PrivateKey> generate();
  // The first private key in a PEM text (PKCS#8, SEC1 or PKCS#1, not encrypted): EC P-256 or P-384,
  // or RSA of 2048 to 4096 bits. Text around it is ignored.
  static expected<PrivateKey> parse_pem(const SecretBytes& pem);

  // What pkcs8_der() gave, and nothing after it; the same kinds of keys.
  static expected<PrivateKey> parse_pkcs8(const SecretBytes& der);

  // PKCS#8 DER, made once and shared: RSA and EC encoders are slow (cost model, architecture).
  const SecretBytes& pkcs8_der() const;
  SecretBytes pkcs8_pem() const;

  EVP_PKEY* evp() const { return key_.get(); }

 private:
  PrivateKey() = default;
  static expected<PrivateKey> adopt(EVP_PKEY* key);  // takes `key`
  static expected<PrivateKey> parse_der(const unsigned char* der, std::size_t bytes);
  std::shared_ptr<EVP_PKEY> key_;
  std::shared_ptr<const SecretBytes> pkcs8_;
};

}  // namespace nodepilot
