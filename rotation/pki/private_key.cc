#include "rotation/pki/private_key.h"

#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "rotation/pki/openssl.h"
#include "rotation/pki/pem.h"
#include "rotation/pki/public_key.h"

namespace nodepilot {
namespace {

using PkeyContextPtr = OpensslPtr<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;

PkeyContextPtr make_p256_generator() {
  PkeyContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
  if (!context || EVP_PKEY_keygen_init(context.get()) != 1 ||
      EVP_PKEY_CTX_set_group_name(context.get(), "P-256") != 1) {
    return nullptr;
  }
  return context;
}

// PrivateKeyInfo of a P-256 key (RFC 5958 with RFC 5915): all of them are alike but for the scalar
// after kPkcs8Head and the point after kPkcs8Middle.
constexpr std::array<std::uint8_t, 36> kPkcs8Head = {
    0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
    0x03, 0x01, 0x07, 0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20};
constexpr std::array<std::uint8_t, 5> kPkcs8Middle = {0xa1, 0x44, 0x03, 0x42, 0x00};
constexpr std::size_t kScalarBytes = 32;

expected<SecretBytes> encode_p256(const EVP_PKEY* key, const P256Point& point) {
  BIGNUM* raw = nullptr;
  EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &raw);
  BignumPtr scalar(raw);
  SecretBytes der(kPkcs8Head.size() + kScalarBytes + kPkcs8Middle.size() + point.size());
  auto out = std::copy(kPkcs8Head.begin(), kPkcs8Head.end(), der.begin());
  if (!scalar || BN_bn2binpad(scalar.get(), &*out, kScalarBytes) < 0) {
    return fail_openssl(Code::kInternal, "encode private key");
  }
  out = std::copy(kPkcs8Middle.begin(), kPkcs8Middle.end(), out + kScalarBytes);
  std::copy(point.begin(), point.end(), out);
  return der;
}

bool is_p256_pkcs8(const SecretBytes& der) {
  auto middle = kPkcs8Head.size() + kScalarBytes;
  return der.size() == middle + kPkcs8Middle.size() + kP256PointBytes &&
         std::equal(kPkcs8Head.begin(), kPkcs8Head.end(), der.begin()) &&
         std::equal(kPkcs8Middle.begin(), kPkcs8Middle.end(),
                    der.begin() + static_cast<std::ptrdiff_t>(middle));
}

PkeyContextPtr make_importer() {
  PkeyContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
  if (context && EVP_PKEY_fromdata_init(context.get()) != 1) context.reset();
  return context;
}

// The inverse of encode_p256(), with a check that the point is the scalar's: 50 us, where the
// decoder takes 340, for each stored key of a start.
expected<PkeyPtr> decode_p256(const SecretBytes& der) {
  thread_local PkeyContextPtr importer;
  if (!importer) importer = make_importer();
  auto scalar = der.begin() + static_cast<std::ptrdiff_t>(kPkcs8Head.size());
  // OSSL_PARAM has numbers in the machine's order, which is little-endian.
  SecretBytes reversed(std::reverse_iterator(scalar + kScalarBytes), std::reverse_iterator(scalar));
  std::string group = "P-256";
  SecretBytes point(der.end() - kP256PointBytes, der.end());
  std::array params = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group.data(), 0),
      OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, reversed.data(), reversed.size()),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()),
      OSSL_PARAM_construct_end()};
  EVP_PKEY* raw = nullptr;
  bool made =
      importer && EVP_PKEY_fromdata(importer.get(), &raw, EVP_PKEY_KEYPAIR, params.data()) == 1;
  PkeyPtr key(raw);
  if (!made) return fail_openssl(Code::kInvalidArgument, "private key: bad DER");
  PkeyContextPtr check(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  if (!check || EVP_PKEY_pairwise_check(check.get()) != 1) {
    return fail_openssl(Code::kInvalidArgument, "private key: not that of its public key");
  }
  return key;
}

expected<SecretBytes> encode_pkcs8(const EVP_PKEY* key) {
  if (auto point = p256_point(key)) return encode_p256(key, *point);
  OpensslPtr<PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free> info(EVP_PKEY2PKCS8(key));
  int length = info ? i2d_PKCS8_PRIV_KEY_INFO(info.get(), nullptr) : 0;
  if (length <= 0) return fail_openssl(Code::kInternal, "encode private key");
  SecretBytes der(static_cast<std::size_t>(length));
  std::uint8_t* out = der.data();
  i2d_PKCS8_PRIV_KEY_INFO(info.get(), &out);
  return der;
}

// The DER of the first private key in a PEM text, wiped by its owner.
struct PemKey {
  PemKey() = default;
  PemKey(const PemKey&) = delete;
  PemKey& operator=(const PemKey&) = delete;
  ~PemKey() {
    OPENSSL_secure_clear_free(der, static_cast<std::size_t>(length));
    OPENSSL_secure_free(label);
  }

  unsigned char* der = nullptr;
  long length = 0;
  char* label = nullptr;
};

int no_password(char*, int, int, void*) { return -1; }

tl::unexpected<Error> fail_encrypted() {
  return fail(Code::kInvalidArgument,
              "private key: it is encrypted; give it decrypted, in a file of mode 0600 "
              "(openssl pkey -in FILE -out DECRYPTED)");
}

}  // namespace

expected<PrivateKey> PrivateKey::adopt(EVP_PKEY* key) {
  PrivateKey made;
  made.key_ = std::shared_ptr<EVP_PKEY>(key, EVP_PKEY_free);
  made.pkcs8_ = std::make_shared<const SecretBytes>(TRY(encode_pkcs8(key)));
  return made;
}

expected<PrivateKey> PrivateKey::generate() {
  // Making the context costs as much as the key.
  thread_local PkeyContextPtr generator;
  if (!generator) generator = make_p256_generator();
  EVP_PKEY* key = nullptr;
  if (!generator || EVP_PKEY_generate(generator.get(), &key) != 1) {
    generator.reset();
    return fail_openssl(Code::kInternal, "generate P-256 key");
  }
  return adopt(key);
}

expected<PrivateKey> PrivateKey::parse_pem(const SecretBytes& pem) {
  if (pem.size() > kMaxPrivateKeyPemBytes) {
    return fail(Code::kInvalidArgument,
                fmt::format("private key: {} bytes of PEM, at most {} are allowed", pem.size(),
                            kMaxPrivateKeyPemBytes));
  }
  if (pem.empty()) return fail(Code::kInvalidArgument, "private key: the text is empty");
  ERR_clear_error();
  BioPtr text(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  PemKey found;
  if (PEM_bytes_read_bio_secmem(&found.der, &found.length, &found.label, PEM_STRING_EVP_PKEY,
                                text.get(), no_password, nullptr) != 1) {
    int reason = ERR_GET_REASON(ERR_peek_last_error());
    if (reason == PEM_R_BAD_PASSWORD_READ) {
      ERR_clear_error();
      return fail_encrypted();
    }
    if (reason == PEM_R_NO_START_LINE) {
      ERR_clear_error();
      return fail(Code::kInvalidArgument,
                  "private key: none found; a PEM block BEGIN PRIVATE KEY, BEGIN EC PRIVATE KEY "
                  "or BEGIN RSA PRIVATE KEY is needed");
    }
    return fail_openssl(Code::kInvalidArgument, "private key: bad PEM");
  }
  if (std::strcmp(found.label, PEM_STRING_PKCS8) == 0) return fail_encrypted();

  return parse_der(found.der, static_cast<std::size_t>(found.length));
}

expected<PrivateKey> PrivateKey::parse_pkcs8(const SecretBytes& der) {
  if (der.size() > kMaxPrivateKeyPemBytes) {
    return fail(Code::kInvalidArgument,
                fmt::format("private key: {} bytes of DER, at most {} are allowed", der.size(),
                            kMaxPrivateKeyPemBytes));
  }
  if (!is_p256_pkcs8(der)) return parse_der(der.data(), der.size());
  PkeyPtr key = TRY(decode_p256(der));
  return adopt(key.release());
}

expected<PrivateKey> PrivateKey::parse_der(const unsigned char* der, std::size_t bytes) {
  const unsigned char* in = der;
  PkeyPtr key(d2i_AutoPrivateKey(nullptr, &in, static_cast<long>(bytes)));
  if (!key) return fail_openssl(Code::kInvalidArgument, "private key: bad DER");
  if (in != der + bytes) {
    return fail(Code::kInvalidArgument, "private key: bytes after its DER");
  }
  if (auto kind = check_key_kind(key.get()); !kind) return fail_with("private key", kind.error());
  return adopt(key.release());
}

const SecretBytes& PrivateKey::pkcs8_der() const { return *pkcs8_; }

SecretBytes PrivateKey::pkcs8_pem() const {
  return encode_pem<SecretBytes>("PRIVATE KEY", *pkcs8_);
}

}  // namespace nodepilot
