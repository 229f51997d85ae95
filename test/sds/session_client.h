// A client of a SecretSession, for tests: speaks the protocol as told.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "sds/secret_session.h"
#include "test/sds/kit.h"

namespace nodepilot::testing {

inline constexpr const char* kSecretType =
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

using Names = std::vector<std::string>;

// Nonces are "n1", "n2", ...
class SessionClient {
 public:
  using Request = envoy::service::discovery::v3::DiscoveryRequest;

  SessionClient()
      : ca("example.org"), session([this] { return "n" + std::to_string(++nonces_); }) {}

  SecretVerdict ask(const Names& names) {
    Request request;
    request.set_type_url(kSecretType);
    for (const std::string& name : names) request.add_resource_names(name);
    request.set_version_info(accepted_);
    request.set_response_nonce(nonce_);
    return send(request);
  }

  // The names of the next response, in its order; empty if there is none. The client reads it.
  Names next() {
    auto response = session.next();
    if (!response) return {};
    session.on_sent();
    last = *std::move(response);
    nonce_ = last.message.nonce();
    CHECK(last.message.type_url() == kSecretType);
    Names names;
    for (const auto& resource : last.message.resources()) {
      envoy::extensions::transport_sockets::tls::v3::Secret secret;
      REQUIRE(resource.UnpackTo(&secret));
      names.push_back(secret.name());
    }
    return names;
  }

  SecretVerdict ack(const Names& names) {
    accepted_ = last.message.version_info();
    return ask(names);
  }
  SecretVerdict nack(const Names& names, const std::string& detail = "bad key") {
    Request request;
    for (const std::string& name : names) request.add_resource_names(name);
    request.set_version_info(accepted_);
    request.set_response_nonce(nonce_);
    request.mutable_error_detail()->set_code(13);
    request.mutable_error_detail()->set_message(detail);
    return send(request);
  }

  SecretVerdict send(const Request& request) {
    auto verdict = session.on_request(request);
    REQUIRE(verdict);
    return *verdict;
  }

  void update(const WorkloadUpdate& update) {
    session.on_update(std::make_shared<const WorkloadUpdate>(update));
  }
  // Changes what the caller may see.
  void renew(WorkloadUpdate& world, std::size_t identity) {
    world.svids[identity].svid = ca.issue(*world.svids[identity].entry);
    update(world);
  }
  void add_root(WorkloadUpdate& world) {
    world.bundle = ca.bundle_with(TestCa("example.org"));
    update(world);
  }

  TestCa ca;
  SecretSession session;
  SecretResponse last;

 private:
  int nonces_ = 0;
  std::string nonce_;
  std::string accepted_;
};

}  // namespace nodepilot::testing
