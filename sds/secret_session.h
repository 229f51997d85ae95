// One StreamSecrets stream: state of the world, over a SecretLedger. Names without content are held
// in silence. Pure.
#pragma once

#include "proto/envoy/discovery.pb.h"
#include "sds/secret_ledger.h"

namespace nodepilot {

// Thread: loop.
class SecretSession {
 public:
  using Request = envoy::service::discovery::v3::DiscoveryRequest;
  struct Response {
    envoy::service::discovery::v3::DiscoveryResponse message;
    std::vector<SentIdentity> identities;
    BundlePtr roots;  // of our own trust domain, if it holds them
    bool holds_key = false;
  };

  // `options` outlives it.
  SecretSession(const SecretOptions& options, NonceSource make_nonce)
      : ledger_(options, /*tells_gone=*/false, std::move(make_nonce)) {}

  // kInvalidArgument ends the stream.
  expected<SecretVerdict> on_request(const Request& request);
  // The next response, if there is something to say and nothing is under way.
  std::optional<Response> next();

  SecretLedger& ledger() { return ledger_; }
  const SecretLedger& ledger() const { return ledger_; }

 private:
  expected<void> subscribe(const Request& request);

  SecretLedger ledger_;
  bool started_ = false;  // the first request has come
  bool named_ = false;    // some request named something
};

}  // namespace nodepilot
