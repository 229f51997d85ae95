#include "rotation/pki/path.h"

#include <fmt/format.h>
#include <openssl/err.h>

#include <algorithm>

#include "rotation/pki/openssl.h"

namespace nodepilot {
namespace {

using ContextPtr = OpensslPtr<X509_STORE_CTX, X509_STORE_CTX_free>;

struct FreeStack {
  void operator()(STACK_OF(X509) * stack) const { sk_X509_free(stack); }
};
using StackPtr = std::unique_ptr<STACK_OF(X509), FreeStack>;

// Borrows: the certificates outlive the stack.
StackPtr stack_of(const std::vector<Certificate>& certificates) {
  StackPtr stack(sk_X509_new_null());
  for (const Certificate& certificate : certificates) {
    if (!stack || sk_X509_push(stack.get(), certificate.x509()) <= 0) return nullptr;
  }
  return stack;
}

tl::unexpected<Error> fail_path(X509_STORE_CTX* context, const Certificate& leaf,
                                const TrustBundle& bundle) {
  int depth = X509_STORE_CTX_get_error_depth(context);
  const char* reason = X509_verify_cert_error_string(X509_STORE_CTX_get_error(context));
  ERR_clear_error();
  return fail(Code::kFailedPrecondition,
              fmt::format("no valid path from certificate {} to a root of {}: {} (at depth {}, the "
                          "leaf being 0)",
                          leaf.serial(), bundle.trust_domain().name(), reason, depth));
}

// OpenSSL checks this only by a security level, and then says no more than "too weak".
expected<void> check_digest(const Certificate& certificate) {
  int bits = 0;
  X509_get_signature_info(certificate.x509(), nullptr, nullptr, &bits, nullptr);
  if (bits >= 112) return {};
  return fail(Code::kFailedPrecondition,
              fmt::format("certificate {} is signed with a weak digest: {} bits of security, at "
                          "least 112 (SHA-256) are needed",
                          certificate.serial(), bits));
}

// The one of `certificates` that holds `x509`; null if none does.
const Certificate* find(const std::vector<Certificate>& certificates, const X509* x509) {
  auto it = std::find_if(certificates.begin(), certificates.end(),
                         [&](const Certificate& candidate) { return candidate.x509() == x509; });
  return it == certificates.end() ? nullptr : &*it;
}

}  // namespace

expected<ValidPath> validate_path(const Certificate& leaf,
                                  const std::vector<Certificate>& intermediates,
                                  const TrustBundle& bundle, Time at) {
  ContextPtr context(X509_STORE_CTX_new());
  StackPtr untrusted = stack_of(intermediates);
  StackPtr trusted = stack_of(bundle.roots());
  if (!context || !untrusted || !trusted ||
      X509_STORE_CTX_init(context.get(), nullptr, leaf.x509(), untrusted.get()) != 1) {
    return fail_openssl(Code::kInternal, "validate path");
  }
  X509_STORE_CTX_set0_trusted_stack(context.get(), trusted.get());
  X509_VERIFY_PARAM* rules = X509_STORE_CTX_get0_param(context.get());
  // A root of the bundle need not be self-signed (X509-SVID 5.1).
  X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_PARTIAL_CHAIN);
  X509_VERIFY_PARAM_set_depth(rules, static_cast<int>(kMaxChainLength));
  X509_VERIFY_PARAM_set_time(
      rules, std::chrono::floor<std::chrono::seconds>(at.time_since_epoch()).count());
  if (X509_verify_cert(context.get()) != 1) return fail_path(context.get(), leaf, bundle);

  // The untrusted part of the path is what is sent; the next step is the root.
  STACK_OF(X509)* path = X509_STORE_CTX_get0_chain(context.get());
  int length = X509_STORE_CTX_get_num_untrusted(context.get());
  std::vector<Certificate> sent;
  for (int i = 0; i < length; ++i) {
    const Certificate* step = find(intermediates, sk_X509_value(path, i));
    sent.push_back(step ? *step : leaf);
    TRY(check_digest(sent.back()));
  }
  const Certificate* root = find(bundle.roots(), sk_X509_value(path, length));
  if (!root) return fail(Code::kInternal, "validate path: it ends in no root of the bundle");
  return ValidPath{std::move(sent), *root};
}

}  // namespace nodepilot
