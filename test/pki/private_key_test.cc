#include "rotation/pki/private_key.h"

#include <doctest/doctest.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <memory>
#include <string>
#include <string_view>

#include "rotation/pki/certificate.h"
#include "test/pki/test_ca.h"

namespace nodepilot {
namespace {

using KeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using BioPtr = std::unique_ptr<BIO, decltype(&BIO_free_all)>;

SecretBytes secret(std::string_view text) { return {text.begin(), text.end()}; }

std::string text_of(BIO* bio) {
  char* data = nullptr;
  long length = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(length)};
}

std::string pkcs8_text(EVP_PKEY* key, const EVP_CIPHER* cipher = nullptr) {
  BioPtr bio(BIO_new(BIO_s_mem()), BIO_free_all);
  char password[] = "secret";
  PEM_write_bio_PKCS8PrivateKey(bio.get(), key, cipher, password, 6, nullptr, nullptr);
  return text_of(bio.get());
}

std::string traditional_text(EVP_PKEY* key, const EVP_CIPHER* cipher = nullptr) {
  BioPtr bio(BIO_new(BIO_s_mem()), BIO_free_all);
  unsigned char password[] = "secret";
  PEM_write_bio_PrivateKey_traditional(bio.get(), key, cipher, password, 6, nullptr, nullptr);
  return text_of(bio.get());
}

bool same_key(const PrivateKey& a, EVP_PKEY* b) { return EVP_PKEY_eq(a.evp(), b) == 1; }

}  // namespace

TEST_CASE("every generated key is another P-256 key") {
  auto a = PrivateKey::generate();
  auto b = PrivateKey::generate();

  REQUIRE(a.has_value());
  REQUIRE(b.has_value());
  CHECK(EVP_PKEY_get_bits(a->evp()) == 256);
  CHECK_FALSE(same_key(*a, b->evp()));
}

TEST_CASE("PKCS#8 of a P-256 key is what OpenSSL's encoder makes of it") {
  auto key = PrivateKey::generate().value();

  BioPtr bio(BIO_new(BIO_s_mem()), BIO_free_all);
  i2d_PKCS8PrivateKey_bio(bio.get(), key.evp(), nullptr, nullptr, 0, nullptr, nullptr);

  std::string der(key.pkcs8_der().begin(), key.pkcs8_der().end());
  CHECK(der == text_of(bio.get()));
}

TEST_CASE("a key comes back from its PEM") {
  auto key = PrivateKey::generate().value();

  auto again = PrivateKey::parse_pem(key.pkcs8_pem());

  REQUIRE(again.has_value());
  CHECK(same_key(*again, key.evp()));
  CHECK(again->pkcs8_der() == key.pkcs8_der());
}

TEST_CASE("the PEM of a key is byte for byte what OpenSSL writes") {
  auto key = PrivateKey::generate().value();

  auto pem = key.pkcs8_pem();

  CHECK(std::string(pem.begin(), pem.end()) == pkcs8_text(key.evp()));
}

TEST_CASE("P-384 and RSA keys are accepted in PKCS#8 and in their older forms") {
  KeyPtr p384(EVP_EC_gen("P-384"), EVP_PKEY_free);
  KeyPtr rsa(EVP_RSA_gen(2048), EVP_PKEY_free);

  for (EVP_PKEY* key : {p384.get(), rsa.get()}) {
    for (const std::string& text : {pkcs8_text(key), traditional_text(key)}) {
      auto parsed = PrivateKey::parse_pem(secret(text));

      REQUIRE(parsed.has_value());
      CHECK(same_key(*parsed, key));
      CHECK(PrivateKey::parse_pem(parsed->pkcs8_pem()).has_value());
      CHECK(same_key(PrivateKey::parse_pkcs8(parsed->pkcs8_der()).value(), key));
    }
  }
}

TEST_CASE("text and certificates around the key are ignored") {
  auto ca = test::TestCa::root();
  auto pem = ca.key.pkcs8_pem();
  std::string text =
      "the key of the CA\n" + ca.certificate.pem() + std::string(pem.begin(), pem.end()) + "end\n";

  auto parsed = PrivateKey::parse_pem(secret(text));

  REQUIRE(parsed.has_value());
  CHECK(same_key(*parsed, ca.key.evp()));
}

TEST_CASE("other kinds and sizes of keys are refused by name") {
  KeyPtr p521(EVP_EC_gen("P-521"), EVP_PKEY_free);
  KeyPtr koblitz(EVP_EC_gen("secp256k1"), EVP_PKEY_free);
  KeyPtr ed25519(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), EVP_PKEY_free);
  KeyPtr rsa1024(EVP_RSA_gen(1024), EVP_PKEY_free);

  auto message = [](EVP_PKEY* key) {
    return PrivateKey::parse_pem(secret(pkcs8_text(key))).error().message;
  };

  CHECK(message(p521.get()).find("secp521r1") != std::string::npos);
  CHECK(message(koblitz.get()).find("secp256k1") != std::string::npos);
  CHECK(message(ed25519.get()).find("ED25519") != std::string::npos);
  CHECK(message(rsa1024.get()).find("1024 bits") != std::string::npos);
}

TEST_CASE("a key with explicit curve parameters is refused") {
  KeyPtr key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  EVP_PKEY_set_utf8_string_param(key.get(), "encoding", "explicit");

  auto parsed = PrivateKey::parse_pem(secret(pkcs8_text(key.get())));

  REQUIRE_FALSE(parsed.has_value());
  CHECK(parsed.error().message.find("explicit") != std::string::npos);
}

TEST_CASE("an encrypted key is refused with the command that decrypts it") {
  auto key = PrivateKey::generate().value();

  for (const std::string& text :
       {pkcs8_text(key.evp(), EVP_aes_128_cbc()), traditional_text(key.evp(), EVP_aes_128_cbc())}) {
    auto parsed = PrivateKey::parse_pem(secret(text));

    REQUIRE_FALSE(parsed.has_value());
    CHECK(parsed.error().message.find("openssl pkey") != std::string::npos);
  }
}

TEST_CASE("a text without a private key says what is needed") {
  auto ca = test::TestCa::root();

  for (const std::string& text : {std::string(), std::string("nothing"), ca.certificate.pem()}) {
    auto parsed = PrivateKey::parse_pem(secret(text));

    REQUIRE_FALSE(parsed.has_value());
    CHECK(parsed.error().code == Code::kInvalidArgument);
  }
}

TEST_CASE("a key file cut short anywhere is refused") {
  auto pem = PrivateKey::generate().value().pkcs8_pem();

  for (std::size_t size = 0; size + 1 < pem.size(); ++size) {
    SecretBytes part(pem.begin(), pem.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK_FALSE(PrivateKey::parse_pem(part).has_value());
  }
}

TEST_CASE("bytes after the DER of a key are refused") {
  auto der = PrivateKey::generate().value().pkcs8_der();
  der.push_back(0);
  BioPtr bio(BIO_new(BIO_s_mem()), BIO_free_all);
  PEM_write_bio(bio.get(), "PRIVATE KEY", "", der.data(), static_cast<long>(der.size()));

  auto parsed = PrivateKey::parse_pem(secret(text_of(bio.get())));

  REQUIRE_FALSE(parsed.has_value());
  CHECK(parsed.error().message == "private key: bytes after its DER");
}

TEST_CASE("a key comes back from its PKCS#8, and from nothing shorter, longer or changed") {
  PrivateKey key = PrivateKey::generate().value();
  SecretBytes der = key.pkcs8_der();

  CHECK(PrivateKey::parse_pkcs8(der).value().pkcs8_der() == der);
  for (std::size_t length = 0; length < der.size(); ++length) {
    SecretBytes cut(der.begin(), der.begin() + static_cast<std::ptrdiff_t>(length));
    CHECK_FALSE(PrivateKey::parse_pkcs8(cut));
  }
  der.push_back(0);
  CHECK(PrivateKey::parse_pkcs8(der).error().message == "private key: bytes after its DER");
  der.pop_back();
  for (std::size_t byte = 36; byte < der.size(); ++byte) {
    if (byte == 68) byte += 5;  // from the scalar to the point
    SecretBytes changed = der;
    changed[byte] ^= 1;
    CHECK_FALSE(PrivateKey::parse_pkcs8(changed));
  }
  CHECK_FALSE(PrivateKey::parse_pkcs8(SecretBytes(kMaxPrivateKeyPemBytes + 1)));
}

TEST_CASE("a key text larger than the bound is refused") {
  SecretBytes pem(kMaxPrivateKeyPemBytes + 1, 'a');

  auto parsed = PrivateKey::parse_pem(pem);

  REQUIRE_FALSE(parsed.has_value());
  CHECK(parsed.error().message.find("65536") != std::string::npos);
}

}  // namespace nodepilot
