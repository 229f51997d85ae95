#include "rotation/https/server_check.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "rotation/pki/x509_svid.h"

namespace nodepilot {
namespace {

tl::unexpected<Error> fail_setup(const char* what) {
  ERR_clear_error();
  return fail(Code::kInternal, std::string("set up the check of the server: ") + what);
}

std::time_t to_time_t(Time time) {
  return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
}

expected<Certificate> copy_of(const X509* x509) {
  unsigned char* bytes = nullptr;
  int length = i2d_X509(x509, &bytes);
  if (length <= 0) return fail_setup("encode a certificate");
  auto certificate = Certificate::parse_der(
      {reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(length)});
  OPENSSL_free(bytes);
  return certificate;
}

expected<void> trust(SSL_CTX* context, const std::vector<Certificate>& roots) {
  if (roots.empty()) {
    if (SSL_CTX_set_default_verify_paths(context) == 1) return {};
    return fail_setup("load the system's CAs");
  }
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  for (const Certificate& root : roots) {
    if (X509_STORE_add_cert(store, root.x509()) != 1) return fail_setup("add a CA");
  }
  return {};
}

}  // namespace

expected<void> ServerCheck::install(TlsContext& context) {
  SSL_CTX* raw = context.native_handle();
  bool is_any = std::holds_alternative<AnyServer>(request_.server);
  SSL_CTX_set_verify(raw, is_any ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
  if (is_any) return {};
  if (const auto* web = std::get_if<WebServer>(&request_.server)) return trust(raw, web->roots);
  // Replaces OpenSSL's own check as a whole.
  SSL_CTX_set_cert_verify_callback(raw, &ServerCheck::verify_spiffe, this);
  return {};
}

expected<void> ServerCheck::install(SSL* connection) {
  const auto* web = std::get_if<WebServer>(&request_.server);
  const std::string& host = web && web->name ? *web->name : request_.url.host();
  bool is_address = is_ip_address(host);
  if (!is_address && SSL_set_tlsext_host_name(connection, host.c_str()) != 1) {
    return fail_setup("server name");
  }
  if (web == nullptr) return {};
  X509_VERIFY_PARAM* rules = SSL_get0_param(connection);
  X509_VERIFY_PARAM_set_time(rules, to_time_t(request_.now));
  X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  int set = is_address ? X509_VERIFY_PARAM_set1_ip_asc(rules, host.c_str())
                       : X509_VERIFY_PARAM_set1_host(rules, host.c_str(), host.size());
  if (set != 1) return fail_setup("host name");
  return {};
}

std::optional<std::string> ServerCheck::refusal(SSL* connection) const {
  if (std::holds_alternative<AnyServer>(request_.server)) return std::nullopt;
  if (!refusal_.empty()) return refusal_;
  long result = SSL_get_verify_result(connection);
  if (result == X509_V_OK) return std::nullopt;
  return X509_verify_cert_error_string(result);
}

int ServerCheck::verify_spiffe(X509_STORE_CTX* context, void* self) {
  auto* check = static_cast<ServerCheck*>(self);
  auto verified = check->verify_spiffe(context);
  if (verified) return 1;
  check->refusal_ = verified.error().message;
  X509_STORE_CTX_set_error(context, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

expected<void> ServerCheck::verify_spiffe(X509_STORE_CTX* context) const {
  std::vector<Certificate> chain{TRY(copy_of(X509_STORE_CTX_get0_cert(context)))};
  STACK_OF(X509)* sent = X509_STORE_CTX_get0_untrusted(context);
  // The first one sent is the leaf again.
  for (int i = 1; i < sk_X509_num(sent); ++i) {
    chain.push_back(TRY(copy_of(sk_X509_value(sent, i))));
  }
  const auto& server = std::get<SpiffeServer>(request_.server);
  SpiffeId id = TRY(verify_server_chain(chain, *server.bundle, request_.now));
  if (id == server.id) return {};
  return fail(Code::kUnauthenticated,
              "the server is " + id.str() + ", expected was " + server.id.str());
}

}  // namespace nodepilot
