#include "rotation/pki/csr.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include "rotation/pki/names.h"
#include "rotation/pki/openssl.h"
#include "rotation/pki/pem.h"
#include "rotation/pki/public_key.h"

namespace nodepilot {
namespace {

// A CSR has one key, one name and one signature.
constexpr std::size_t kMaxCsrBytes = std::size_t{16} * 1024;

struct FreeExtensions {
  void operator()(STACK_OF(X509_EXTENSION) * extensions) const {
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
  }
};
using ExtensionsPtr = std::unique_ptr<STACK_OF(X509_EXTENSION), FreeExtensions>;

bool ask_for(X509_REQ* request, const SpiffeId& id) {
  auto names = make_general_names(id.str(), {});
  STACK_OF(X509_EXTENSION)* extensions = nullptr;
  bool is_made = names && X509V3_add1_i2d(&extensions, NID_subject_alt_name, names.get(), 1,
                                          X509V3_ADD_APPEND) == 1;
  ExtensionsPtr owner(extensions);
  return is_made && X509_REQ_add_extensions(request, extensions) == 1;
}

}  // namespace

expected<Csr> Csr::create(const PrivateKey& key, const SpiffeId& id) {
  std::string public_key = TRY(encode_public_key(key.evp()));
  X509ReqPtr request(X509_REQ_new());
  if (!request || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
      !ask_for(request.get(), id)) {
    return fail_openssl(Code::kInternal, "make CSR for " + id.str());
  }
  TRY(set_public_key(X509_REQ_get_X509_PUBKEY(request.get()), public_key));
  if (X509_REQ_sign(request.get(), key.evp(), EVP_sha256()) <= 0) {
    return fail_openssl(Code::kInternal, "sign CSR for " + id.str());
  }
  Csr csr;
  csr.der_ = std::make_shared<const std::string>(encode_der(request.get(), i2d_X509_REQ));
  csr.public_key_ = std::make_shared<const std::string>(std::move(public_key));
  return csr;
}

expected<Csr> Csr::parse_der(std::string_view der) {
  if (der.size() > kMaxCsrBytes) {
    return fail(Code::kInvalidArgument, "CSR: " + std::to_string(der.size()) + " bytes, at most " +
                                            std::to_string(kMaxCsrBytes) + " are allowed");
  }
  const unsigned char* in = bytes_of(der);
  X509ReqPtr request(d2i_X509_REQ(nullptr, &in, static_cast<long>(der.size())));
  if (!request) return fail_openssl(Code::kInvalidArgument, "CSR: bad DER");
  if (in != bytes_of(der) + der.size()) {
    return fail(Code::kInvalidArgument, "CSR: bytes after its DER");
  }
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  if (key == nullptr) return fail_openssl(Code::kInvalidArgument, "CSR: public key");
  if (auto kind = check_key_kind(key); !kind) return fail_with("CSR", kind.error());
  if (X509_REQ_verify(request.get(), key) != 1) {
    ERR_clear_error();
    return fail(Code::kInvalidArgument, "CSR: not signed by the key it carries");
  }
  Csr csr;
  csr.der_ = std::make_shared<const std::string>(der);
  csr.public_key_ = std::make_shared<const std::string>(TRY(encode_public_key(key)));
  return csr;
}

std::string Csr::pem() const { return encode_pem(PEM_STRING_X509_REQ, *der_); }

}  // namespace nodepilot
