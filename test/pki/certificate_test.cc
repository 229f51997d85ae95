#include "rotation/pki/certificate.h"

#include <doctest/doctest.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>

#include <memory>
#include <string>

#include "test/pki/test_ca.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;
using test::noon;
using test::Recipe;
using test::TestCa;

using KeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string refusal_of_pem(const std::string& pem) {
  auto parsed = Certificate::parse_pem(pem);
  return parsed ? "accepted" : parsed.error().message;
}

// Why a self-signed certificate for `key` is refused.
std::string refusal_of_key(EVP_PKEY* key) {
  std::string der = test::make_der(test::ca_recipe("root"), key, key, nullptr);
  auto parsed = Certificate::parse_der(der);
  return parsed ? "accepted" : parsed.error().message;
}

// A root that `change` has touched before it was signed.
std::string root_der(const std::function<void(X509*)>& change) {
  auto key = PrivateKey::generate().value();
  std::string der = test::make_der(test::ca_recipe("root"), key.evp(), key.evp(), nullptr);
  const auto* in = reinterpret_cast<const unsigned char*>(der.data());
  std::unique_ptr<X509, decltype(&X509_free)> x509(
      d2i_X509(nullptr, &in, static_cast<long>(der.size())), X509_free);
  change(x509.get());
  X509_sign(x509.get(), key.evp(), EVP_sha256());
  unsigned char* out = nullptr;
  int length = i2d_X509(x509.get(), &out);
  std::string changed(reinterpret_cast<char*>(out), static_cast<std::size_t>(length));
  OPENSSL_free(out);
  return changed;
}

}  // namespace

TEST_CASE("what is parsed is kept byte for byte") {
  TestCa ca = TestCa::root();

  auto from_der = Certificate::parse_der(ca.certificate.der());
  auto from_pem = Certificate::parse_pem(ca.certificate.pem());

  REQUIRE(from_der.has_value());
  REQUIRE(from_pem.has_value());
  CHECK(from_der->der() == ca.certificate.der());
  CHECK(*from_pem == std::vector{ca.certificate});
}

TEST_CASE("the fields of a certificate are told as they stand in it") {
  TestCa ca = TestCa::root("Example CA");
  auto key = PrivateKey::generate().value();

  Certificate leaf = ca.leaf(key, "spiffe://example.org/web", [](Recipe& r) {
    r.common_name = "web, inc";
    r.sans.push_back({GEN_DNS, "web.example.org"});
  });

  CHECK(leaf.subject() == "CN=web\\, inc");
  CHECK(leaf.uri_sans() == std::vector<std::string>{"spiffe://example.org/web"});
  CHECK(leaf.dns_sans() == std::vector<std::string>{"web.example.org"});
  CHECK_FALSE(leaf.has_other_sans());
  CHECK(leaf.validity().not_before == noon() - 1h);
  CHECK(leaf.validity().not_after == noon() + 1h);
  CHECK(leaf.validity().lifetime() == 2h);
  CHECK_FALSE(leaf.is_ca());
  CHECK_FALSE(leaf.can_sign());
  CHECK_FALSE(leaf.is_self_signed());
  CHECK(leaf.has_key(key));
  CHECK_FALSE(leaf.has_key(ca.key));
  CHECK(leaf.has_key_of(ca.leaf(key, "spiffe://example.org/db")));
  CHECK_FALSE(leaf.has_key_of(ca.certificate));
  CHECK(ca.certificate.is_ca());
  CHECK(ca.certificate.can_sign());
  CHECK(ca.certificate.is_self_signed());
}

TEST_CASE("serial numbers are lower-case hex") {
  auto serial = [](const std::string& bytes) {
    std::string der = root_der([&](X509* x509) {
      ASN1_STRING_set(X509_get_serialNumber(x509), bytes.data(), static_cast<int>(bytes.size()));
    });
    return Certificate::parse_der(der).value().serial();
  };

  CHECK(serial("\x0a\xbc") == "0abc");
  CHECK(serial("\xff\x10\x01") == "ff1001");
}

TEST_CASE("a NUL in a URI SAN is kept") {
  TestCa ca = TestCa::root();
  auto key = PrivateKey::generate().value();
  std::string uri("spiffe://example.org/web\0.evil", 30);

  Certificate leaf = ca.leaf(key, uri);

  CHECK(leaf.uri_sans() == std::vector{uri});
}

TEST_CASE("a self-made issuer name is no self-signature") {
  TestCa ca = TestCa::root();
  TestCa impostor{PrivateKey::generate().value(), ca.certificate};

  Certificate certificate = impostor.sign(test::ca_recipe("root"), ca.key);

  CHECK_FALSE(certificate.is_self_signed());
}

TEST_CASE("a CA without keyCertSign cannot sign, one without keyUsage can") {
  auto usage = [](const char* text) {
    return TestCa::root("root", [&](Recipe& r) { r.key_usage = text; }).certificate;
  };

  CHECK_FALSE(usage("critical,cRLSign").can_sign());
  CHECK(usage("").can_sign());
}

TEST_CASE("ends up to the year 9999 are held") {
  for (int year : {2037, 2039, 2050, 2107, 9999}) {
    Time end{std::chrono::sys_days{std::chrono::year{year} / 12 / 31} + 23h + 59min + 59s};

    TestCa ca = TestCa::root("root", [&](Recipe& r) { r.validity.not_after = end; });

    CHECK(ca.certificate.validity().not_after == end);
    CHECK(ca.certificate.validity().contains(noon()));
  }
}

TEST_CASE("a certificate cut short at any byte is refused") {
  std::string der = TestCa::root().certificate.der();

  for (std::size_t size = 0; size < der.size(); ++size) {
    CHECK_FALSE(Certificate::parse_der(der.substr(0, size)).has_value());
  }
}

TEST_CASE("a certificate with any byte changed is parsed or refused, no worse") {
  const std::string der = TestCa::root().certificate.der();

  std::size_t accepted = 0;
  for (std::size_t place = 0; place < der.size(); ++place) {
    std::string changed = der;
    changed[place] = static_cast<char>(changed[place] ^ 0x41);
    auto parsed = Certificate::parse_der(changed);
    if (!parsed) continue;
    ++accepted;
    // The signature covers all but itself, so nothing changed still passes for signed.
    CHECK_FALSE(parsed->is_self_signed());
  }

  CHECK(accepted > 0);
}

TEST_CASE("trailing bytes and giants are refused") {
  std::string der = TestCa::root().certificate.der();

  auto trailing = Certificate::parse_der(der + '\0');
  auto two = Certificate::parse_der(der + der);
  auto giant = Certificate::parse_der(std::string(kMaxCertificateBytes + 1, '0'));

  CHECK(has(trailing.error().message, "after its DER"));
  CHECK(has(two.error().message, "after its DER"));
  CHECK(has(giant.error().message, "at most 65536"));
}

TEST_CASE("keys of other kinds are refused in certificates") {
  KeyPtr p384(EVP_EC_gen("P-384"), EVP_PKEY_free);
  KeyPtr koblitz(EVP_EC_gen("secp256k1"), EVP_PKEY_free);
  KeyPtr rsa2048(EVP_RSA_gen(2048), EVP_PKEY_free);
  KeyPtr rsa1024(EVP_RSA_gen(1024), EVP_PKEY_free);
  KeyPtr explicit_curve(EVP_EC_gen("P-256"), EVP_PKEY_free);
  EVP_PKEY_set_utf8_string_param(explicit_curve.get(), "encoding", "explicit");

  CHECK(refusal_of_key(p384.get()) == "accepted");
  CHECK(refusal_of_key(rsa2048.get()) == "accepted");
  CHECK(has(refusal_of_key(koblitz.get()), "secp256k1"));
  CHECK(has(refusal_of_key(rsa1024.get()), "1024 bits"));
  CHECK(has(refusal_of_key(explicit_curve.get()), "explicit"));
}

TEST_CASE("malformed and repeated extensions are refused") {
  auto refusal = [](const std::function<void(X509*)>& spoil) {
    auto parsed = Certificate::parse_der(root_der(spoil));
    return parsed ? "accepted" : parsed.error().message;
  };
  auto add_raw = [](X509* x509, int nid, const std::string& bytes) {
    ASN1_OCTET_STRING* value = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(value, reinterpret_cast<const unsigned char*>(bytes.data()),
                          static_cast<int>(bytes.size()));
    X509_EXTENSION* extension = X509_EXTENSION_create_by_NID(nullptr, nid, 1, value);
    X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
  };
  const std::string empty_sequence("\x30\x00", 2);

  CHECK(refusal([](X509*) {}) == "accepted");
  CHECK(has(refusal([&](X509* x) { add_raw(x, NID_subject_alt_name, "\x30\x05"); }), "malformed"));
  CHECK(has(refusal([&](X509* x) { add_raw(x, NID_basic_constraints, empty_sequence); }),
            "malformed"));
  CHECK(has(refusal([&](X509* x) {
              add_raw(x, NID_subject_alt_name, empty_sequence);
              add_raw(x, NID_subject_alt_name, empty_sequence);
            }),
            "malformed"));
}

TEST_CASE("a PEM text holds its certificates in order, with any text between") {
  Certificate a = TestCa::root("a").certificate;
  Certificate b = TestCa::root("b").certificate;

  auto parsed = Certificate::parse_pem("# a\n" + a.pem() + "\n\nsubject=b\n" + b.pem() + "\n\n");

  REQUIRE(parsed.has_value());
  CHECK(*parsed == std::vector{a, b});
  CHECK(concatenated_pem(*parsed) == a.pem() + b.pem());
  CHECK(concatenated_der(*parsed) == a.der() + b.der());
}

TEST_CASE("PEM with CRLF and without the last newline is accepted") {
  std::string pem = TestCa::root().certificate.pem();
  std::string crlf;
  for (char c : pem) crlf += c == '\n' ? std::string("\r\n") : std::string(1, c);

  CHECK(refusal_of_pem(crlf) == "accepted");
  CHECK(refusal_of_pem(pem.substr(0, pem.size() - 1)) == "accepted");
}

TEST_CASE("a PEM text without certificates is refused") {
  CHECK(has(refusal_of_pem(""), "empty"));
  CHECK(has(refusal_of_pem("\n"), "no \"-----BEGIN CERTIFICATE-----\""));
}

TEST_CASE("other blocks in a PEM text are refused, and nothing of them is told") {
  TestCa ca = TestCa::root();
  auto key = ca.key.pkcs8_pem();
  std::string key_text(key.begin(), key.end());

  std::string refusal = refusal_of_pem(ca.certificate.pem() + key_text);

  CHECK(has(refusal, "PEM block 2"));
  CHECK(has(refusal, "PRIVATE KEY"));
  CHECK_FALSE(has(refusal, key_text.substr(60, 20)));
}

TEST_CASE("a PEM text cut short anywhere is refused") {
  Certificate a = TestCa::root("a").certificate;
  std::string pem = a.pem() + a.pem();

  for (std::size_t size = a.pem().size() + 11; size < pem.size() - 1; ++size) {
    CHECK_FALSE(Certificate::parse_pem(pem.substr(0, size)).has_value());
  }
}

TEST_CASE("a damaged first line does not hide a certificate") {
  Certificate a = TestCa::root("a").certificate;
  std::string damaged = a.pem();
  damaged.replace(damaged.find("CERTIFICATE-----"), 16, "CERTIFICATE----");

  CHECK(has(refusal_of_pem(a.pem() + damaged), "damaged"));
}

TEST_CASE("too much PEM is refused before it costs anything") {
  std::string one = TestCa::root().certificate.pem();
  std::string many;
  for (std::size_t i = 0; i <= kMaxPemCertificates; ++i) many += one;

  CHECK(has(refusal_of_pem(many), "more than 100"));
  CHECK(has(refusal_of_pem(std::string(kMaxPemBytes + 1, '\n')), "at most 1048576"));
}

}  // namespace nodepilot
