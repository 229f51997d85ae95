// Bytes sealed under a key of ours: nobody else can read them, and no change to them, nor to what
// they are said to be, goes unnoticed. AES-256-GCM, the key by HKDF-SHA256 (RFC 5869).
#pragma once

#include <string>
#include <string_view>

#include "agent/base/result.h"
#include "agent/base/secret.h"

namespace nodepilot {

// What a secret must have at least; of fewer bytes a key could be guessed.
inline constexpr std::size_t kMinSealingSecretBytes = 32;

// Immutable. Thread: any. Has no printer.
class SealingKey {
 public:
  // `secret` is any bytes that hold 256 bits of entropy, `purpose` keeps the keys that are derived
  // from one secret apart. kInvalidArgument if it is shorter than kMinSealingSecretBytes.
  static expected<SealingKey> derive(const SecretBytes& secret, std::string_view purpose);

  // 16 bytes that tell this key from any other and nothing about it.
  const std::string& id() const { return id_; }

  // A fresh random nonce, the ciphertext, the tag. `context` is bound to it: open() must be given
  // the same. One key is good for 2^32 messages (NIST SP 800-38D 8.3): ten thousand identities,
  // renewed every half hour, for 24 years.
  expected<std::string> seal(const SecretBytes& plaintext, std::string_view context) const;
  // kDataLoss if it was sealed under another key or for another context, or has been changed.
  expected<SecretBytes> open(std::string_view sealed, std::string_view context) const;

 private:
  SealingKey() = default;
  SecretBytes key_;
  std::string id_;
};

}  // namespace nodepilot
