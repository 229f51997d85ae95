// Owners for OpenSSL's objects, and its errors as ours. For the .cc files of this room only.
#pragma once

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

#include "agent/base/result.h"

namespace nodepilot {

template <auto Free>
struct FreeWith {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};

// OPENSSL_free() is a macro.
struct FreeText {
  void operator()(char* text) const { OPENSSL_free(text); }
};

template <class T, auto Free>
using OpensslPtr = std::unique_ptr<T, FreeWith<Free>>;

using BioPtr = OpensslPtr<BIO, BIO_free_all>;
using BignumPtr = OpensslPtr<BIGNUM, BN_clear_free>;
using IntegerPtr = OpensslPtr<ASN1_INTEGER, ASN1_INTEGER_free>;
using NamePtr = OpensslPtr<X509_NAME, X509_NAME_free>;
using PkeyPtr = OpensslPtr<EVP_PKEY, EVP_PKEY_free>;
using GeneralNamesPtr = OpensslPtr<GENERAL_NAMES, GENERAL_NAMES_free>;
using TextPtr = std::unique_ptr<char, FreeText>;
using X509Ptr = OpensslPtr<X509, X509_free>;
using X509ReqPtr = OpensslPtr<X509_REQ, X509_REQ_free>;

// "what: why OpenSSL's last call failed". Empties the thread's error queue, so that no later
// failure is explained by this one.
tl::unexpected<Error> fail_openssl(Code code, std::string what);

// The DER of `object`, by its i2d function; empty if it cannot be encoded.
template <class T, class Encode>
std::string encode_der(const T* object, Encode encode) {
  int length = encode(object, nullptr);
  std::string der(length > 0 ? static_cast<std::size_t>(length) : 0, '\0');
  auto* out = reinterpret_cast<unsigned char*>(der.data());
  if (!der.empty()) encode(object, &out);
  return der;
}

inline const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace nodepilot
