// Clients of the two kinds of SDS stream, for tests: they speak the protocol as told. Nonces are
// "n1", "n2", ...
#pragma once

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

#include "sds/delta_secret_session.h"
#include "sds/secret_session.h"
#include "test/sds/kit.h"

namespace nodepilot::testing {

using Names = std::vector<std::string>;

inline constexpr const char* kWeb = "spiffe://example.org/web";
inline constexpr const char* kDb = "spiffe://example.org/db";
inline constexpr const char* kOwn = "spiffe://example.org";

inline std::string serial_in(const WorkloadUpdate& world, std::size_t identity) {
  return world.svids[identity].svid->leaf().serial();
}

inline std::set<std::string> sorted(const Names& names) { return {names.begin(), names.end()}; }

// A session, and what its client may see.
template <class Session>
struct SessionStage {
  SessionStage()
      : ca("example.org"), session(options, [this] { return "n" + std::to_string(++nonces); }) {}

  void update(const WorkloadUpdate& update) {
    session.ledger().set_update(std::make_shared<const WorkloadUpdate>(update));
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
  // The SVID ends while the entry stays: it is entitled to another.
  void expire(WorkloadUpdate& world) {
    world.svids.clear();
    world.settled = false;
    update(world);
  }
  void set_file(const std::string& name, FileAnswer answer) {
    session.ledger().set_files({{name, std::move(answer)}});
  }

  SecretVerdict send(const typename Session::Request& request) {
    auto verdict = session.on_request(request);
    REQUIRE(verdict);
    return *verdict;
  }
  // Reads the next response into `last`; false if there is none.
  bool read() {
    auto response = session.next();
    if (!response) return false;
    session.ledger().on_sent();
    last = *std::move(response);
    CHECK(last.message.type_url() == kSecretType);
    return true;
  }

  TestCa ca;
  SecretOptions options;
  int nonces = 0;
  Session session;
  typename Session::Response last;
};

// State of the world.
class SessionClient : public SessionStage<SecretSession> {
 public:
  using Request = SecretSession::Request;

  SecretVerdict ask(const Names& names) {
    Request request;
    request.set_type_url(std::string(kSecretType));
    for (const std::string& name : names) request.add_resource_names(name);
    request.set_version_info(accepted_);
    request.set_response_nonce(nonce_);
    return send(request);
  }
  // The names of the next response, in its order; empty if there is none.
  Names next() {
    if (!read()) return {};
    nonce_ = last.message.nonce();
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
  // Asks for `names` while there is `world`, and gets them.
  Names get(const WorkloadUpdate& world, const Names& names) {
    update(world);
    ask(names);
    return next();
  }

 private:
  std::string nonce_;
  std::string accepted_;
};

// Delta.
class DeltaClient : public SessionStage<DeltaSecretSession> {
 public:
  using Request = DeltaSecretSession::Request;

  SecretVerdict ask(const Names& subscribe, const Names& unsubscribe = {}) {
    return send(request(subscribe, unsubscribe));
  }
  static Request request(const Names& subscribe, const Names& unsubscribe = {}) {
    Request request;
    request.set_type_url(std::string(kSecretType));
    for (const std::string& name : subscribe) request.add_resource_names_subscribe(name);
    for (const std::string& name : unsubscribe) request.add_resource_names_unsubscribe(name);
    return request;
  }
  // The names of the next response: those with content in its order, then "-NAME" for those that
  // are gone.
  Names next() {
    if (!read()) return {};
    Names names;
    for (const auto& resource : last.message.resources()) {
      envoy::extensions::transport_sockets::tls::v3::Secret secret;
      REQUIRE(resource.resource().UnpackTo(&secret));
      CHECK(secret.name() == resource.name());
      names.push_back(resource.name());
    }
    for (const std::string& name : last.message.removed_resources()) names.push_back("-" + name);
    return names;
  }
  SecretVerdict ack() {
    Request answer;
    answer.set_response_nonce(last.message.nonce());
    return send(answer);
  }
  SecretVerdict nack(const std::string& detail = "bad key") {
    Request answer;
    answer.set_response_nonce(last.message.nonce());
    answer.mutable_error_detail()->set_message(detail);
    return send(answer);
  }
  // Asks for `names` while there is `world`, gets and accepts them.
  Names get(const WorkloadUpdate& world, const Names& names) {
    update(world);
    ask(names);
    Names got = next();
    ack();
    return got;
  }
  // Name -> version of the last response.
  std::map<std::string, std::string> versions() const {
    std::map<std::string, std::string> versions;
    for (const auto& resource : last.message.resources()) {
      versions[resource.name()] = resource.version();
    }
    return versions;
  }
};

}  // namespace nodepilot::testing
