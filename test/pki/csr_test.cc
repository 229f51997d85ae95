#include "rotation/pki/csr.h"

#include <doctest/doctest.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

namespace nodepilot {
namespace {

using KeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using BioPtr = std::unique_ptr<BIO, decltype(&BIO_free_all)>;
using RequestPtr = std::unique_ptr<X509_REQ, decltype(&X509_REQ_free)>;

SpiffeId web() { return SpiffeId::parse("spiffe://example.org/web").value(); }

RequestPtr openssl_parse(const std::string& der) {
  const auto* in = reinterpret_cast<const unsigned char*>(der.data());
  return {d2i_X509_REQ(nullptr, &in, static_cast<long>(der.size())), X509_REQ_free};
}

// The key of an operator: of a kind that we do not generate ourselves.
PrivateKey as_private_key(EVP_PKEY* key) {
  BioPtr bio(BIO_new(BIO_s_mem()), BIO_free_all);
  PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  char* data = nullptr;
  long length = BIO_get_mem_data(bio.get(), &data);
  return PrivateKey::parse_pem(SecretBytes(data, data + length)).value();
}

// The one URI of a request's one extension, a critical SAN; empty if its shape is any other.
std::string only_uri(X509_REQ* request) {
  STACK_OF(X509_EXTENSION)* extensions = X509_REQ_get_extensions(request);
  std::string uri;
  if (sk_X509_EXTENSION_num(extensions) == 1) {
    X509_EXTENSION* san = sk_X509_EXTENSION_value(extensions, 0);
    auto* names = static_cast<GENERAL_NAMES*>(X509V3_EXT_d2i(san));
    if (X509_EXTENSION_get_critical(san) == 1 && sk_GENERAL_NAME_num(names) == 1) {
      const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, 0);
      const ASN1_IA5STRING* text = name->d.uniformResourceIdentifier;
      if (name->type == GEN_URI) {
        uri.assign(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                   static_cast<std::size_t>(ASN1_STRING_length(text)));
      }
    }
    GENERAL_NAMES_free(names);
  }
  sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
  return uri;
}

}  // namespace

TEST_CASE("a CSR has no subject and one critical URI SAN, and is signed by its key") {
  auto key = PrivateKey::generate().value();

  auto csr = Csr::create(key, web());

  REQUIRE(csr.has_value());
  auto request = openssl_parse(csr->der());
  REQUIRE(request);
  CHECK(X509_REQ_get_version(request.get()) == X509_REQ_VERSION_1);
  CHECK(X509_REQ_verify(request.get(), X509_REQ_get0_pubkey(request.get())) == 1);
  CHECK(EVP_PKEY_eq(X509_REQ_get0_pubkey(request.get()), key.evp()) == 1);
  CHECK(X509_NAME_entry_count(X509_REQ_get_subject_name(request.get())) == 0);
  CHECK(only_uri(request.get()) == web().str());
}

TEST_CASE("the public key of a CSR is encoded as OpenSSL encodes it") {
  KeyPtr p384(EVP_EC_gen("P-384"), EVP_PKEY_free);
  KeyPtr rsa(EVP_RSA_gen(2048), EVP_PKEY_free);

  for (const PrivateKey& key :
       {PrivateKey::generate().value(), as_private_key(p384.get()), as_private_key(rsa.get())}) {
    auto csr = Csr::create(key, web()).value();

    unsigned char* der = nullptr;
    int length = i2d_PUBKEY(key.evp(), &der);
    std::string expected_key(reinterpret_cast<char*>(der), static_cast<std::size_t>(length));
    OPENSSL_free(der);
    CHECK(csr.public_key() == expected_key);
    auto again = Csr::parse_der(csr.der());
    REQUIRE(again.has_value());
    CHECK(again->public_key() == expected_key);
    CHECK(again->der() == csr.der());
  }
}

TEST_CASE("an ID of the greatest length fits into a CSR") {
  std::string uri = "spiffe://example.org/";
  uri += std::string(kMaxSpiffeIdBytes - uri.size(), 'a');
  auto key = PrivateKey::generate().value();

  auto csr = Csr::create(key, SpiffeId::parse(uri).value());

  REQUIRE(csr.has_value());
  CHECK(only_uri(openssl_parse(csr->der()).get()) == uri);
  CHECK(Csr::parse_der(csr->der()).has_value());
}

TEST_CASE("a CSR in PEM is read by others") {
  auto csr = Csr::create(PrivateKey::generate().value(), web()).value();

  std::string pem = csr.pem();

  BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free_all);
  RequestPtr request(PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr), X509_REQ_free);
  REQUIRE(request);
  CHECK(only_uri(request.get()) == web().str());
}

TEST_CASE("a CSR that its own key has not signed is refused") {
  auto csr = Csr::create(PrivateKey::generate().value(), web()).value();
  std::string other_id = csr.der();
  other_id.replace(other_id.find("/web"), 4, "/db1");

  auto parsed = Csr::parse_der(other_id);

  REQUIRE_FALSE(parsed.has_value());
  CHECK(parsed.error().message == "CSR: not signed by the key it carries");
}

TEST_CASE("a CSR cut short, with bytes after it, or too large is refused") {
  auto csr = Csr::create(PrivateKey::generate().value(), web()).value();

  for (std::size_t size = 0; size < csr.der().size(); ++size) {
    CHECK_FALSE(Csr::parse_der(csr.der().substr(0, size)).has_value());
  }
  CHECK_FALSE(Csr::parse_der(csr.der() + '\0').has_value());
  CHECK_FALSE(Csr::parse_der(std::string(20000, '0')).has_value());
}

TEST_CASE("a CSR for a weak key is refused") {
  KeyPtr key(EVP_RSA_gen(1024), EVP_PKEY_free);
  RequestPtr request(X509_REQ_new(), X509_REQ_free);
  X509_REQ_set_pubkey(request.get(), key.get());
  X509_REQ_sign(request.get(), key.get(), EVP_sha256());
  unsigned char* der = nullptr;
  int length = i2d_X509_REQ(request.get(), &der);
  std::string text(reinterpret_cast<char*>(der), static_cast<std::size_t>(length));
  OPENSSL_free(der);

  auto parsed = Csr::parse_der(text);

  REQUIRE_FALSE(parsed.has_value());
  CHECK(parsed.error().message.find("1024 bits") != std::string::npos);
}

}  // namespace nodepilot
