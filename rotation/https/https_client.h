// One HTTPS request at a time, on the calling thread. The server is proven before a byte is sent,
// unless it may be AnyServer.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "agent/base/secret.h"
#include "agent/base/time.h"
#include "rotation/https/url.h"
#include "rotation/pki/trust_bundle.h"

namespace nodepilot {

// The Web PKI: a chain to a locally trusted CA and a certificate for the URL's host (RFC 6125).
struct WebServer {
  std::vector<Certificate> roots{};   // none: those of the system
  std::optional<std::string> name{};  // a DNS name or IP address; none: the URL's host
};

// An X509-SVID for exactly `id` by a root of `bundle`, which is that of its trust domain; the
// host's name plays no part.
struct SpiffeServer {
  SpiffeId id;
  std::shared_ptr<const TrustBundle> bundle;
};

// Nobody in particular: whoever answers gets what is sent. Only for an operator who insists.
struct AnyServer {};

using ServerIdentity = std::variant<WebServer, SpiffeServer, AnyServer>;

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

// An answer that is too large to be held as a whole. Thread: worker, one at a time.
class HttpsStream {
 public:
  HttpsStream() = default;
  HttpsStream(const HttpsStream&) = delete;
  HttpsStream& operator=(const HttpsStream&) = delete;
  virtual ~HttpsStream() = default;

  // Without its body.
  virtual const HttpsReply& head() const = 0;

  // The next piece of the body, valid until the next call; empty at the end. Errors as of
  // https_send(), whose limits of time and size it keeps; after one there is nothing more to read.
  virtual expected<std::string_view> read() = 0;
};

// The same, up to the body: the caller looks at the head, then reads as much as it wants.
expected<std::unique_ptr<HttpsStream>> https_open(HttpsRequest request);

}  // namespace nodepilot
