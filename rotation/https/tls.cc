#include "rotation/https/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <boost/system/system_error.hpp>

namespace nodepilot {
namespace {

// For TLS 1.2; those of 1.3 are all good.
constexpr const char* kCiphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

tl::unexpected<Error> fail_tls(const char* what) {
  unsigned long code = ERR_peek_last_error();
  const char* reason = ERR_reason_error_string(code);
  ERR_clear_error();
  return fail(Code::kInternal,
              std::string("set up TLS: ") + what + ": " + (reason ? reason : "no memory?"));
}

expected<TlsContext> make_tls(TlsContext::method method) {
  ERR_clear_error();
  try {
    TlsContext context(method);
    SSL_CTX* raw = context.native_handle();
    SSL_CTX_set_options(raw, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS);
    bool set = SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION) == 1 &&
               SSL_CTX_set_cipher_list(raw, kCiphers) == 1 &&
               SSL_CTX_set1_groups_list(raw, "X25519:P-256:P-384") == 1;
    if (!set) return fail_tls("versions and ciphers");
    return context;
  } catch (const boost::system::system_error& error) {
    return fail(Code::kInternal, std::string("set up TLS: ") + error.what());
  }
}

}  // namespace

expected<TlsContext> make_client_tls() { return make_tls(TlsContext::tls_client); }

expected<void> show(TlsContext& context, const std::vector<Certificate>& chain,
                    const PrivateKey& key) {
  SSL_CTX* raw = context.native_handle();
  if (chain.empty()) return fail(Code::kInvalidArgument, "set up TLS: no certificate");
  if (SSL_CTX_use_certificate(raw, chain.front().x509()) != 1) return fail_tls("certificate");
  for (std::size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(raw, chain[i].x509()) != 1) return fail_tls("certificate chain");
  }
  if (SSL_CTX_use_PrivateKey(raw, key.evp()) != 1) {
    return fail_tls("the private key is not that of the certificate");
  }
  return {};
}

expected<TlsContext> make_server_tls(const std::vector<Certificate>& chain, const PrivateKey& key) {
  TlsContext context = TRY(make_tls(TlsContext::tls_server));
  SSL_CTX_set_num_tickets(context.native_handle(), 0);
  TRY(show(context, chain, key));
  return context;
}

}  // namespace nodepilot
