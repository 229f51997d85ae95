#include "rotation/pki/certificate.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <cctype>

#include "rotation/pki/openssl.h"
#include "rotation/pki/pem.h"
#include "rotation/pki/public_key.h"

namespace nodepilot {

struct Certificate::Parsed {
  X509Ptr x509;
  std::string der;
  std::string serial;
  Validity validity;
  std::vector<std::string> uri_sans;
  std::vector<std::string> dns_sans;
  bool has_other_sans = false;

  void read_sans();
};

namespace {

constexpr std::string_view kPemBegin = "-----BEGIN";

expected<Time> read_time(const ASN1_TIME* time, const char* field) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) {
    ERR_clear_error();
    return fail(Code::kInvalidArgument, std::string("certificate: malformed ") + field);
  }
  return Time(std::chrono::seconds(timegm(&parts)));
}

expected<Validity> read_validity(const X509* x509) {
  return Validity{TRY(read_time(X509_get0_notBefore(x509), "notBefore")),
                  TRY(read_time(X509_get0_notAfter(x509), "notAfter"))};
}

std::string read_serial(const X509* x509) {
  BignumPtr number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(x509), nullptr));
  TextPtr hex(BN_bn2hex(number.get()));
  std::string text = hex.get();
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// By length: a name may hold NUL, and its comparison must not stop there.
std::string text_of(const ASN1_STRING* string) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(string)),
          static_cast<std::size_t>(ASN1_STRING_length(string))};
}

expected<void> check_key(const X509* x509) {
  const EVP_PKEY* key = X509_get0_pubkey(x509);
  if (key == nullptr) return fail_openssl(Code::kInvalidArgument, "certificate: public key");
  if (auto kind = check_key_kind(key); !kind) return fail_with("certificate", kind.error());
  return {};
}

// The next block of `text`; kNotFound at its end.
expected<std::string> next_pem_certificate(BIO* text) {
  char* label_text = nullptr;
  char* header_text = nullptr;
  unsigned char* data = nullptr;
  long length = 0;
  ERR_clear_error();
  if (PEM_read_bio(text, &label_text, &header_text, &data, &length) != 1) {
    bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    return fail_openssl(at_end ? Code::kNotFound : Code::kInvalidArgument, "bad PEM");
  }
  TextPtr label(label_text);
  TextPtr headers(header_text);
  bool is_certificate = std::string_view(label.get()) == PEM_STRING_X509 && *headers.get() == '\0';
  std::string der;
  if (is_certificate) der.assign(reinterpret_cast<char*>(data), static_cast<std::size_t>(length));
  // Somebody's private key, perhaps.
  OPENSSL_clear_free(data, static_cast<std::size_t>(length));
  if (is_certificate) return der;
  return fail(
      Code::kInvalidArgument,
      fmt::format("it is a {}; only CERTIFICATE blocks without headers are allowed", label.get()));
}

std::size_t count_begin_lines(std::string_view pem) {
  std::size_t count = 0;
  for (auto at = pem.find(kPemBegin); at != std::string_view::npos;
       at = pem.find(kPemBegin, at + 1)) {
    ++count;
  }
  return count;
}

std::string text_of(const X509_NAME* name) {
  BioPtr out(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253);
  char* text = nullptr;
  long length = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(length)};
}

}  // namespace

void Certificate::Parsed::read_sans() {
  GeneralNamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(x509.get(), NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_URI) {
      uri_sans.push_back(text_of(name->d.uniformResourceIdentifier));
    } else if (name->type == GEN_DNS) {
      dns_sans.push_back(text_of(name->d.dNSName));
    } else {
      has_other_sans = true;
    }
  }
}

expected<Certificate> Certificate::parse_der(std::string_view der) {
  if (der.size() > kMaxCertificateBytes) {
    return fail(Code::kInvalidArgument, fmt::format("certificate: {} bytes, at most {} are allowed",
                                                    der.size(), kMaxCertificateBytes));
  }
  ERR_clear_error();
  const unsigned char* in = bytes_of(der);
  auto parsed = std::make_shared<Parsed>();
  parsed->x509.reset(d2i_X509(nullptr, &in, static_cast<long>(der.size())));
  X509* x509 = parsed->x509.get();
  if (x509 == nullptr) return fail_openssl(Code::kInvalidArgument, "certificate: bad DER");
  if (in != bytes_of(der) + der.size()) {
    return fail(Code::kInvalidArgument, "certificate: bytes after its DER");
  }
  parsed->der = der;
  TRY(check_key(x509));
  if ((X509_get_extension_flags(x509) & EXFLAG_INVALID) != 0) {
    return fail_openssl(Code::kInvalidArgument, "certificate: malformed or repeated extensions");
  }
  parsed->serial = read_serial(x509);
  parsed->validity = TRY(read_validity(x509));
  parsed->read_sans();
  return Certificate(std::move(parsed));
}

expected<std::vector<Certificate>> Certificate::parse_pem(std::string_view pem) {
  if (pem.empty()) return fail(Code::kInvalidArgument, "certificates: the text is empty");
  if (pem.size() > kMaxPemBytes) {
    return fail(Code::kInvalidArgument,
                fmt::format("certificates: {} bytes of PEM, at most {} are allowed", pem.size(),
                            kMaxPemBytes));
  }
  BioPtr text(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  std::vector<Certificate> certificates;
  while (true) {
    std::string place = fmt::format("PEM block {}", certificates.size() + 1);
    auto der = next_pem_certificate(text.get());
    if (!der && der.error().code == Code::kNotFound) break;
    if (!der) return fail_with(place, der.error());
    if (certificates.size() == kMaxPemCertificates) {
      return fail(Code::kInvalidArgument,
                  fmt::format("certificates: more than {} in one text", kMaxPemCertificates));
    }
    auto certificate = parse_der(*der);
    if (!certificate) return fail_with(place, certificate.error());
    certificates.push_back(*std::move(certificate));
  }
  // OpenSSL skips what it takes for text, a block with a damaged first line too.
  if (count_begin_lines(pem) != certificates.size()) {
    return fail(Code::kInvalidArgument,
                fmt::format("certificates: damaged \"-----BEGIN CERTIFICATE-----\" line after PEM "
                            "block {}",
                            certificates.size()));
  }
  if (certificates.empty()) {
    return fail(Code::kInvalidArgument, "certificates: no \"-----BEGIN CERTIFICATE-----\" block");
  }
  return certificates;
}

const std::string& Certificate::der() const { return parsed_->der; }

std::string Certificate::pem() const { return encode_pem(PEM_STRING_X509, parsed_->der); }

std::string Certificate::subject() const { return text_of(X509_get_subject_name(x509())); }
std::string Certificate::issuer() const { return text_of(X509_get_issuer_name(x509())); }

std::string Certificate::key_kind() const {
  EVP_PKEY* key = X509_get0_pubkey(x509());
  std::string bits = std::to_string(EVP_PKEY_get_bits(key));
  return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC ? "EC P-" + bits : "RSA " + bits;
}

const std::string& Certificate::serial() const { return parsed_->serial; }
const Validity& Certificate::validity() const { return parsed_->validity; }
const std::vector<std::string>& Certificate::uri_sans() const { return parsed_->uri_sans; }
const std::vector<std::string>& Certificate::dns_sans() const { return parsed_->dns_sans; }
bool Certificate::has_other_sans() const { return parsed_->has_other_sans; }

bool Certificate::is_ca() const { return (X509_get_extension_flags(x509()) & EXFLAG_CA) != 0; }

bool Certificate::can_sign() const {
  // Without the extension every bit is set.
  return is_ca() && (X509_get_key_usage(x509()) & KU_KEY_CERT_SIGN) != 0;
}

bool Certificate::is_self_signed() const {
  bool is_own = X509_self_signed(x509(), 1) == 1;
  ERR_clear_error();
  return is_own;
}

bool Certificate::has_key(const PrivateKey& key) const {
  bool is_own = EVP_PKEY_eq(X509_get0_pubkey(x509()), key.evp()) == 1;
  ERR_clear_error();
  return is_own;
}

bool Certificate::has_key_of(const Certificate& other) const {
  bool is_same = EVP_PKEY_eq(X509_get0_pubkey(x509()), X509_get0_pubkey(other.x509())) == 1;
  ERR_clear_error();
  return is_same;
}

X509* Certificate::x509() const { return parsed_->x509.get(); }

std::string concatenated_der(const std::vector<Certificate>& certificates) {
  std::string all;
  for (const Certificate& certificate : certificates) all += certificate.der();
  return all;
}

std::string concatenated_pem(const std::vector<Certificate>& certificates) {
  std::string all;
  for (const Certificate& certificate : certificates) all += certificate.pem();
  return all;
}

}  // namespace nodepilot
