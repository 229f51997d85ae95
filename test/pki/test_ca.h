// Makes certificates of any shape, the bad ones above all. Header only, so that tests of several
// rooms can use it.
#pragma once

#include <openssl/x509v3.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rotation/pki/certificate.h"
#include "rotation/pki/private_key.h"

namespace nodepilot::test {

inline Time noon() {
  return Time{std::chrono::sys_days{std::chrono::year{2026} / 3 / 1} + std::chrono::hours(12)};
}

struct Recipe {
  struct Name {
    int type;  // GEN_URI, GEN_DNS, GEN_EMAIL, GEN_IPADD
    std::string bytes;
  };

  std::string common_name;  // no subject if empty
  std::vector<Name> sans;
  bool critical_sans = true;
  // In the syntax of openssl.cnf; left out if empty.
  std::string basic_constraints = "critical,CA:FALSE";
  std::string key_usage = "critical,digitalSignature";
  std::string extended_key_usage = "serverAuth,clientAuth";
  std::string name_constraints;
  std::string comment;  // an extension that means nothing to a verifier
  Validity validity{noon() - std::chrono::hours(1), noon() + std::chrono::hours(1)};
  const EVP_MD* digest = EVP_sha256();
  int serial_bits = 0;  // random, of this length; 0: a number that nobody else has

  Recipe& uri(std::string text) {
    sans.push_back({GEN_URI, std::move(text)});
    return *this;
  }
};

using Change = std::function<void(Recipe&)>;

inline void add_sans(X509* x509, const Recipe& recipe) {
  if (recipe.sans.empty()) return;
  GENERAL_NAMES* names = GENERAL_NAMES_new();
  for (const Recipe::Name& san : recipe.sans) {
    ASN1_STRING* value =
        ASN1_STRING_type_new(san.type == GEN_IPADD ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
    ASN1_STRING_set(value, san.bytes.data(), static_cast<int>(san.bytes.size()));
    GENERAL_NAME* name = GENERAL_NAME_new();
    GENERAL_NAME_set0_value(name, san.type, value);
    sk_GENERAL_NAME_push(names, name);
  }
  X509_add1_ext_i2d(x509, NID_subject_alt_name, names, recipe.critical_sans ? 1 : 0,
                    X509V3_ADD_APPEND);
  GENERAL_NAMES_free(names);
}

inline void add_extension(X509* x509, X509* issuer, int nid, const std::string& value) {
  if (value.empty()) return;
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, x509, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  X509_add_ext(x509, extension, -1);
  X509_EXTENSION_free(extension);
}

inline void set_name(X509_NAME* name, const std::string& common_name) {
  if (common_name.empty()) return;
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                             0);
}

inline time_t seconds(Time time) {
  return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
}

// Signed by `issuer_key` in the name of `issuer`; self-signed if `issuer` is null.
inline std::string make_der(const Recipe& recipe, EVP_PKEY* subject_key, EVP_PKEY* issuer_key,
                            X509* issuer) {
  static long serial = 1000;
  std::unique_ptr<X509, decltype(&X509_free)> x509(X509_new(), X509_free);
  X509_set_version(x509.get(), X509_VERSION_3);
  if (recipe.serial_bits == 0) {
    ASN1_INTEGER_set(X509_get_serialNumber(x509.get()), ++serial);
  } else {
    std::unique_ptr<BIGNUM, decltype(&BN_free)> number(BN_new(), BN_free);
    BN_rand(number.get(), recipe.serial_bits, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY);
    BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(x509.get()));
  }
  ASN1_TIME_set(X509_getm_notBefore(x509.get()), seconds(recipe.validity.not_before));
  ASN1_TIME_set(X509_getm_notAfter(x509.get()), seconds(recipe.validity.not_after));
  set_name(X509_get_subject_name(x509.get()), recipe.common_name);
  X509* parent = issuer == nullptr ? x509.get() : issuer;
  X509_set_issuer_name(x509.get(), X509_get_subject_name(parent));
  X509_set_pubkey(x509.get(), subject_key);
  add_extension(x509.get(), parent, NID_basic_constraints, recipe.basic_constraints);
  add_extension(x509.get(), parent, NID_key_usage, recipe.key_usage);
  add_extension(x509.get(), parent, NID_ext_key_usage, recipe.extended_key_usage);
  add_extension(x509.get(), parent, NID_name_constraints, recipe.name_constraints);
  add_extension(x509.get(), parent, NID_netscape_comment, recipe.comment);
  add_sans(x509.get(), recipe);
  X509_sign(x509.get(), issuer_key, recipe.digest);
  unsigned char* der = nullptr;
  int length = i2d_X509(x509.get(), &der);
  std::string bytes(reinterpret_cast<char*>(der), static_cast<std::size_t>(length));
  OPENSSL_free(der);
  return bytes;
}

inline Recipe ca_recipe(std::string common_name) {
  Recipe recipe;
  recipe.common_name = std::move(common_name);
  recipe.basic_constraints = "critical,CA:TRUE";
  recipe.key_usage = "critical,keyCertSign,cRLSign";
  recipe.extended_key_usage = "";
  recipe.validity = {noon() - std::chrono::hours(24), noon() + std::chrono::hours(24)};
  return recipe;
}

// A CA whose certificates are as wrong as `change` makes them.
struct TestCa {
  PrivateKey key;
  Certificate certificate;

  static TestCa root(const std::string& common_name = "root", const Change& change = {}) {
    Recipe recipe = ca_recipe(common_name);
    if (change) change(recipe);
    PrivateKey key = PrivateKey::generate().value();
    std::string der = make_der(recipe, key.evp(), key.evp(), nullptr);
    return {key, Certificate::parse_der(der).value()};
  }

  TestCa intermediate(const std::string& common_name, const Change& change = {}) const {
    Recipe recipe = ca_recipe(common_name);
    if (change) change(recipe);
    PrivateKey own_key = PrivateKey::generate().value();
    return {own_key, sign(recipe, own_key)};
  }

  // A good X509-SVID for `id`, but for what `change` does to it.
  Certificate leaf(const PrivateKey& leaf_key, const std::string& id,
                   const Change& change = {}) const {
    Recipe recipe;
    recipe.uri(id);
    if (change) change(recipe);
    return sign(recipe, leaf_key);
  }

  Certificate sign(const Recipe& recipe, const PrivateKey& subject_key) const {
    std::string der = make_der(recipe, subject_key.evp(), key.evp(), certificate.x509());
    return Certificate::parse_der(der).value();
  }
};

}  // namespace nodepilot::test
