#include "rotation/pki/issuer.h"

#include <array>

#include "rotation/pki/names.h"
#include "rotation/pki/openssl.h"
#include "rotation/pki/public_key.h"

namespace nodepilot {
namespace {

using BitsPtr = OpensslPtr<ASN1_BIT_STRING, ASN1_BIT_STRING_free>;
using KeyIdPtr = OpensslPtr<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free>;

// Bit numbers of keyUsage (RFC 5280, 4.2.1.3).
constexpr int kDigitalSignature = 0;
constexpr int kKeyCertSign = 5;
constexpr int kCrlSign = 6;
constexpr std::size_t kKeyIdBytes = 20;
// The upper bound of organizationName in RFC 5280; a trust domain may be longer.
constexpr std::size_t kMaxOrganizationBytes = 64;

bool add(X509* x509, int nid, void* value, bool critical) {
  return value != nullptr &&
         X509_add1_ext_i2d(x509, nid, value, critical ? 1 : 0, X509V3_ADD_APPEND) == 1;
}

bool add_basic_constraints(X509* x509, bool is_ca) {
  OpensslPtr<BASIC_CONSTRAINTS, BASIC_CONSTRAINTS_free> value(BASIC_CONSTRAINTS_new());
  if (value) value->ca = is_ca ? 255 : 0;
  return add(x509, NID_basic_constraints, value.get(), true);
}

bool add_key_usage(X509* x509, std::initializer_list<int> bits) {
  BitsPtr value(ASN1_BIT_STRING_new());
  if (!value) return false;
  for (int bit : bits) {
    if (ASN1_BIT_STRING_set_bit(value.get(), bit, 1) != 1) return false;
  }
  return add(x509, NID_key_usage, value.get(), true);
}

bool add_extended_key_usage(X509* x509) {
  OpensslPtr<EXTENDED_KEY_USAGE, EXTENDED_KEY_USAGE_free> value(EXTENDED_KEY_USAGE_new());
  return value && sk_ASN1_OBJECT_push(value.get(), OBJ_nid2obj(NID_server_auth)) > 0 &&
         sk_ASN1_OBJECT_push(value.get(), OBJ_nid2obj(NID_client_auth)) > 0 &&
         add(x509, NID_ext_key_usage, value.get(), false);
}

bool add_names(X509* x509, const std::string& uri, const std::vector<std::string>& dns_names,
               bool critical) {
  auto value = make_general_names(uri, dns_names);
  return add(x509, NID_subject_alt_name, value.get(), critical);
}

// The start of the key's SHA-256 (RFC 7093); null if out of memory.
KeyIdPtr make_key_id(const X509* x509) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  KeyIdPtr key_id(ASN1_OCTET_STRING_new());
  bool is_made = key_id && X509_pubkey_digest(x509, EVP_sha256(), digest.data(), nullptr) == 1 &&
                 ASN1_OCTET_STRING_set(key_id.get(), digest.data(), kKeyIdBytes) == 1;
  return is_made ? std::move(key_id) : nullptr;
}

// An issuer without a key ID is matched by its name alone.
bool add_authority_key_id(X509* x509, const ASN1_OCTET_STRING* issuer_key_id) {
  if (issuer_key_id == nullptr) return true;
  OpensslPtr<AUTHORITY_KEYID, AUTHORITY_KEYID_free> value(AUTHORITY_KEYID_new());
  if (value) value->keyid = ASN1_OCTET_STRING_dup(issuer_key_id);
  return value && value->keyid != nullptr &&
         add(x509, NID_authority_key_identifier, value.get(), false);
}

bool set_random_serial(X509* x509) {
  BignumPtr number(BN_new());
  return number && BN_rand(number.get(), 128, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(x509)) != nullptr;
}

bool set_validity(X509* x509, Validity validity) {
  auto seconds = [](Time time) {
    return static_cast<time_t>(
        std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count());
  };
  return ASN1_TIME_set(X509_getm_notBefore(x509), seconds(validity.not_before)) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(x509), seconds(validity.not_after)) != nullptr;
}

expected<X509Ptr> start(const std::string& public_key, Validity validity) {
  X509Ptr x509(X509_new());
  if (!x509 || X509_set_version(x509.get(), X509_VERSION_3) != 1 ||
      !set_random_serial(x509.get()) || !set_validity(x509.get(), validity)) {
    return fail_openssl(Code::kInternal, "make certificate");
  }
  TRY(set_public_key(X509_get_X509_PUBKEY(x509.get()), public_key));
  return x509;
}

expected<Certificate> finish(X509* x509, const PrivateKey& issuer_key) {
  if (X509_sign(x509, issuer_key.evp(), EVP_sha256()) <= 0) {
    return fail_openssl(Code::kInternal, "sign certificate");
  }
  // Path validation needs the key as a parsed object, and what is verified is what is sent.
  return Certificate::parse_der(encode_der(x509, i2d_X509));
}

bool append(X509_NAME* name, const char* field, const std::string& text) {
  return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, bytes_of(text),
                                    static_cast<int>(text.size()), -1, 0) == 1;
}

// Two roots of one trust domain must differ by name: issuers are looked up by it.
bool set_root_names(X509* x509, const TrustDomain& trust_domain) {
  BignumPtr serial(ASN1_INTEGER_to_BN(X509_get0_serialNumber(x509), nullptr));
  TextPtr hex(serial ? BN_bn2hex(serial.get()) : nullptr);
  NamePtr name(X509_NAME_new());
  return name && hex &&
         append(name.get(), "O", trust_domain.name().substr(0, kMaxOrganizationBytes)) &&
         append(name.get(), "CN", std::string("nodepilot local CA ") + hex.get()) &&
         X509_set_subject_name(x509, name.get()) == 1 &&
         X509_set_issuer_name(x509, name.get()) == 1;
}

}  // namespace

expected<Certificate> make_root(const PrivateKey& key, const TrustDomain& trust_domain,
                                Validity validity) {
  std::string public_key = TRY(encode_public_key(key.evp()));
  auto x509 = TRY(start(public_key, validity));
  auto key_id = make_key_id(x509.get());
  if (!set_root_names(x509.get(), trust_domain) || !add_basic_constraints(x509.get(), true) ||
      !add_key_usage(x509.get(), {kKeyCertSign, kCrlSign}) ||
      !add_names(x509.get(), trust_domain.id(), {}, false) ||
      !add(x509.get(), NID_subject_key_identifier, key_id.get(), false) ||
      !add_authority_key_id(x509.get(), key_id.get())) {
    return fail_openssl(Code::kInternal, "make root of " + trust_domain.name());
  }
  return finish(x509.get(), key);
}

expected<Certificate> make_leaf(const PrivateKey& issuer_key, const Certificate& issuer,
                                const Csr& csr, const Entry& entry, Validity validity) {
  auto x509 = TRY(start(csr.public_key(), validity));
  if (X509_set_issuer_name(x509.get(), X509_get_subject_name(issuer.x509())) != 1 ||
      !add_basic_constraints(x509.get(), false) ||
      !add_key_usage(x509.get(), {kDigitalSignature}) || !add_extended_key_usage(x509.get()) ||
      !add_names(x509.get(), entry.spiffe_id.str(), entry.dns_names, true) ||
      !add_authority_key_id(x509.get(), X509_get0_subject_key_id(issuer.x509()))) {
    return fail_openssl(Code::kInternal, "make certificate for " + entry.spiffe_id.str());
  }
  return finish(x509.get(), issuer_key);
}

}  // namespace nodepilot
