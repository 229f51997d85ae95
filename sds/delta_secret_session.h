// One DeltaSecrets stream, over a SecretLedger. Unlike state of the world it tells the client what
// does not exist (any more), and what a client holds from an earlier stream in the same version is
// not sent again: versions depend on content alone. Pure.
#pragma once

#include "proto/envoy/discovery.pb.h"
#include "sds/secret_ledger.h"

namespace nodepilot {

// Thread: loop.
class DeltaSecretSession {
 public:
  using Request = envoy::service::discovery::v3::DeltaDiscoveryRequest;
  struct Response {
    envoy::service::discovery::v3::DeltaDiscoveryResponse message;
    std::vector<SentIdentity> identities;
    BundlePtr roots;  // of our own trust domain, if it holds them
    bool holds_key = false;
  };

  // `options` outlives it.
  DeltaSecretSession(const SecretOptions& options, NonceSource make_nonce)
      : ledger_(options, /*tells_gone=*/true, std::move(make_nonce)) {}

  // kInvalidArgument ends the stream. Subscriptions count whichever response a request answers.
  expected<SecretVerdict> on_request(const Request& request);
  // The next response, if there is something to say and nothing is under way.
  std::optional<Response> next();

  SecretLedger& ledger() { return ledger_; }
  const SecretLedger& ledger() const { return ledger_; }

 private:
  expected<void> subscribe(const Request& request);
  expected<void> resume(const Request& request);

  SecretLedger ledger_;
  bool started_ = false;  // the first request has come
};

}  // namespace nodepilot
