#include "rotation/pki/seal.h"

#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <array>

#include "rotation/pki/openssl.h"

namespace nodepilot {
namespace {

using CipherContextPtr = OpensslPtr<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free>;
using KdfPtr = OpensslPtr<EVP_KDF, EVP_KDF_free>;
using KdfContextPtr = OpensslPtr<EVP_KDF_CTX, EVP_KDF_CTX_free>;

constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kIdBytes = 16;
constexpr std::size_t kNonceBytes = 12;
constexpr std::size_t kTagBytes = 16;
// EVP counts in int.
constexpr std::size_t kMaxSealedBytes = std::size_t{64} * 1024 * 1024;

expected<SecretBytes> hkdf(const SecretBytes& secret, const std::string& info, std::size_t bytes) {
  KdfPtr kdf(EVP_KDF_fetch(nullptr, "HKDF", nullptr));
  KdfContextPtr context(EVP_KDF_CTX_new(kdf.get()));
  SecretBytes ikm = secret;
  std::string digest = "SHA256";
  std::string label = info;
  std::array params = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, ikm.data(), ikm.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, label.data(), label.size()),
      OSSL_PARAM_construct_end()};
  SecretBytes derived(bytes);
  if (!context || EVP_KDF_derive(context.get(), derived.data(), bytes, params.data()) != 1) {
    return fail_openssl(Code::kInternal, "derive a sealing key");
  }
  return derived;
}

const unsigned char* bytes_at(std::string_view text, std::size_t offset) {
  return bytes_of(text.substr(offset));
}

}  // namespace

expected<SealingKey> SealingKey::derive(const SecretBytes& secret, std::string_view purpose) {
  if (secret.size() < kMinSealingSecretBytes) {
    return fail(Code::kInvalidArgument, fmt::format("holds {} bytes; a sealing key needs at least "
                                                    "{} random bytes",
                                                    secret.size(), kMinSealingSecretBytes));
  }
  SealingKey key;
  key.key_ = TRY(hkdf(secret, fmt::format("{}: key", purpose), kKeyBytes));
  SecretBytes id = TRY(hkdf(secret, fmt::format("{}: id", purpose), kIdBytes));
  key.id_.assign(id.begin(), id.end());
  return key;
}

expected<std::string> SealingKey::seal(const SecretBytes& plaintext,
                                       std::string_view context) const {
  if (plaintext.size() > kMaxSealedBytes) {
    return fail(Code::kInvalidArgument, fmt::format("seal: {} bytes, at most {} are allowed",
                                                    plaintext.size(), kMaxSealedBytes));
  }
  std::string sealed(kNonceBytes + plaintext.size() + kTagBytes, '\0');
  auto* nonce = reinterpret_cast<unsigned char*>(sealed.data());
  auto* out = nonce + kNonceBytes;
  auto* tag = out + plaintext.size();
  int length = 0;
  CipherContextPtr cipher(EVP_CIPHER_CTX_new());
  bool done =
      cipher && RAND_bytes(nonce, kNonceBytes) == 1 &&
      EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, key_.data(), nonce) == 1 &&
      EVP_EncryptUpdate(cipher.get(), nullptr, &length, bytes_of(context),
                        static_cast<int>(context.size())) == 1 &&
      EVP_EncryptUpdate(cipher.get(), out, &length, plaintext.data(),
                        static_cast<int>(plaintext.size())) == 1 &&
      EVP_EncryptFinal_ex(cipher.get(), tag, &length) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_GET_TAG, kTagBytes, tag) == 1;
  if (!done) return fail_openssl(Code::kInternal, "seal");
  return sealed;
}

expected<SecretBytes> SealingKey::open(std::string_view sealed, std::string_view context) const {
  if (sealed.size() < kNonceBytes + kTagBytes || sealed.size() > kMaxSealedBytes) {
    return fail(Code::kDataLoss, fmt::format("{} bytes cannot be sealed ones", sealed.size()));
  }
  std::size_t bytes = sealed.size() - kNonceBytes - kTagBytes;
  SecretBytes plaintext(bytes);
  std::string tag(sealed.substr(kNonceBytes + bytes));
  int length = 0;
  CipherContextPtr cipher(EVP_CIPHER_CTX_new());
  bool ready =
      cipher &&
      EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, key_.data(),
                         bytes_at(sealed, 0)) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_SET_TAG, kTagBytes, tag.data()) == 1 &&
      EVP_DecryptUpdate(cipher.get(), nullptr, &length, bytes_of(context),
                        static_cast<int>(context.size())) == 1 &&
      EVP_DecryptUpdate(cipher.get(), plaintext.data(), &length, bytes_at(sealed, kNonceBytes),
                        static_cast<int>(bytes)) == 1;
  if (!ready) return fail_openssl(Code::kInternal, "open what was sealed");
  std::array<unsigned char, kTagBytes> rest{};
  if (EVP_DecryptFinal_ex(cipher.get(), rest.data(), &length) != 1) {
    return fail(Code::kDataLoss, "was changed, or is not what it is said to be");
  }
  return plaintext;
}

}  // namespace nodepilot
