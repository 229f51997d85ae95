// One HTTPS request at a time, on the calling thread. The server is proven before a byte is sent.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <variant>
#include <vector>

#include "agent/base/secret.h"
#include "agent/base/time.h"
#include "rotation/https/url.h"
#include "rotation/pki/trust_bundle.h"

namespace nodepilot {

// The Web PKI: a chain to a locally trusted CA and a certificate for the URL's host (RFC 6125).
struct WebServer {
  std::vector<Certificate> roots{};  // none: those of the system
};

// An X509-SVID for exactly `id` by a root of `bundle`, which is that of its trust domain; the
// host's name plays no part.
struct SpiffeServer {
  SpiffeId id;
  std::shared_ptr<const TrustBundle> bundle;
};

using ServerIdentity = std::variant<WebServer, SpiffeServer>;

// What we show to a server that asks for a certificate.
struct ClientIdentity {
  std::vector<Certificate> chain;  // leaf first
  PrivateKey key;
};

// The value may be a secret: it stands in no error and in wiping memory only. Neither may hold
// line ends.
struct HttpsHeader {
  std::string name;
  SecretBytes value;
};

enum class HttpsMethod { kGet, kPost };

struct HttpsRequest {
  HttpsMethod method = HttpsMethod::kGet;
  Url url;
  std::vector<HttpsHeader> headers{};  // besides Host, User-Agent, Accept and Connection
  SecretBytes body{};                  // sent with its length; none with kGet
  ServerIdentity server;
  std::optional<ClientIdentity> client{};
  Time now;                                     // when certificates must be valid
  Duration timeout = std::chrono::seconds(15);  // for all of it, name resolution included
  std::size_t max_body_bytes = std::size_t{1024} * 1024;
  std::stop_token stop{};  // gives up soon after a stop is asked for
};

struct HttpsReply {
  unsigned status = 0;
  std::string content_type;
  std::string location;
  std::optional<Duration> retry_after{};  // counted from HttpsRequest::now
  std::string body;
};

// On a connection of its own; redirects are the caller's to follow. Blocks: thread: worker.
// Errors name the method, the URL and the step that failed: kDeadlineExceeded, kUnavailable (not
// reached), kUnauthenticated (not the server that was meant), kDataLoss (no HTTP, or too much of
// it), kInvalidArgument (a header that would break the request's head), kCancelled (stopped).
expected<HttpsReply> https_send(const HttpsRequest& request);

}  // namespace nodepilot
