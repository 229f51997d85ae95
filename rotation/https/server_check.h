// Makes a TLS handshake prove the server that a request is meant for. For this room only.
#pragma once

#include <optional>

#include "rotation/https/https_client.h"
#include "rotation/https/tls.h"

namespace nodepilot {

class ServerCheck {
 public:
  // `request` outlives it.
  explicit ServerCheck(const HttpsRequest& request) : request_(request) {}
  ServerCheck(const ServerCheck&) = delete;
  ServerCheck& operator=(const ServerCheck&) = delete;

  // Before the handshake on a stream of `context`, which must not outlive this.
  expected<void> install(TlsContext& context);
  expected<void> install(SSL* connection);

  // Why the handshake on `connection` failed, if it was for the server's identity.
  std::optional<std::string> refusal(SSL* connection) const;

 private:
  static int verify_spiffe(X509_STORE_CTX* context, void* self);
  expected<void> verify_spiffe(X509_STORE_CTX* context) const;

  const HttpsRequest& request_;
  std::string refusal_;
};

}  // namespace nodepilot
