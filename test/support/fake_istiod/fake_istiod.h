// An istiod on the loopback, real gRPC over real TLS, that signs as istiod does, or goes wrong in
// the one way that it is told to.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "test/support/fake_istiod/ca_service.h"
#include "test/support/fake_istiod/decoy.h"
#include "test/support/fake_istiod/mint.h"

namespace grpc {
class Server;
}

namespace nodepilot::test {

// Thread: one, that of the test.
class FakeIstiod {
 public:
  // The DNS name of its TLS certificate.
  static constexpr const char* kTlsName = "istiod.istio-system.svc";

  // `now` tells the time from which leaves count; called on gRPC's threads.
  explicit FakeIstiod(std::function<Time()> now = [] {
    return std::chrono::floor<Duration>(std::chrono::system_clock::now());
  });
  FakeIstiod(const FakeIstiod&) = delete;
  FakeIstiod& operator=(const FakeIstiod&) = delete;
  ~FakeIstiod();

  // The same for life, whoever listens there: "127.0.0.1:PORT".
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  // PEM: of its TLS certificate and of the leaves; and one that nobody should trust.
  std::string root() const { return mint_.root(); }
  std::string unknown_root() const { return mint_.unknown_root(); }

  // A caller with this token is `id`; if `is_node`, it may ask for the identities of others.
  void trust(const std::string& token, const std::string& id, bool is_node) {
    service_.trust(token, id, is_node);
  }
  // From now on the token is like one that has expired.
  void distrust(const std::string& token) { service_.distrust(token); }

  // What goes wrong from now on, for everybody or for one SPIFFE ID. A fault of the transport cuts
  // the connections of before, its end those that were made since.
  void set(Fault fault, std::chrono::milliseconds time = {}, const std::string& only_for = "");
  void recover() { set(Fault::kNone); }

  CaService::Counts counts() const { return service_.counts(); }
  // What those who stood in for it heard during a fault of the transport.
  Decoy::Heard heard() const;

 private:
  void serve();
  void stop();
  std::unique_ptr<Decoy> decoy_for(Fault fault);

  const Fd reservation_;  // bound, never listening: keeps the port ours while nobody listens
  const std::uint16_t port_;
  Mint mint_;
  CaService service_;
  std::unique_ptr<grpc::Server> server_;  // null during a fault of the transport
  std::unique_ptr<Decoy> decoy_;          // in its stead
  Decoy::Heard heard_;                    // by the decoys of before
  Fault fault_ = Fault::kNone;
};

}  // namespace nodepilot::test
