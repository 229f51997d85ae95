// istio.v1.auth.IstioCertificateService as istiod serves it: who calls, for whom may they ask, and
// what goes wrong.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "proto/istio/ca.grpc.pb.h"
#include "test/support/fake_istiod/mint.h"

namespace nodepilot::test {

// Thread: any; gRPC calls it on several at once.
class CaService final : public istio::v1::auth::IstioCertificateService::Service {
 public:
  using Request = istio::v1::auth::IstioCertificateRequest;
  using Response = istio::v1::auth::IstioCertificateResponse;

  struct Counts {
    std::size_t calls = 0;
    std::size_t in_flight = 0;
    std::size_t most_in_flight = 0;
    std::size_t most_per_second = 0;                  // within any second
    std::map<std::string, std::size_t> signed_for{};  // by SPIFFE ID
    std::map<std::string, std::size_t> tokens{};      // by SHA-256, hex
  };

  // `cluster_id` is that of the callers of whom it knows the pods.
  CaService(Mint& mint, std::string cluster_id) : mint_(mint), cluster_id_(std::move(cluster_id)) {}

  grpc::Status CreateCertificate(grpc::ServerContext* context, const Request* request,
                                 Response* response) override;

  void trust(const std::string& token, const std::string& id, bool is_node);
  void distrust(const std::string& token);
  void set(Misdeed misdeed, const std::string& only_for);
  Counts counts() const;

 private:
  struct Caller {
    std::string id;
    bool is_node = false;
  };

  void begin(const std::string& token);
  grpc::Status answer(grpc::ServerContext& context, const std::string& token,
                      const Request& request, Response& response);
  // Empty if the caller is unknown or may not ask for what it asks for.
  std::optional<std::string> granted_id(const grpc::ServerContext& context,
                                        const std::string& token, const Request& request) const;
  Misdeed misdeed_for(const std::string& id) const;
  grpc::Status sign(const std::string& id, const Request& request, Misdeed misdeed,
                    Response& response);

  Mint& mint_;  // under the mutex, as all below
  const std::string cluster_id_;
  mutable std::mutex mutex_;
  std::map<std::string, Caller> callers_;  // by token
  Misdeed misdeed_;
  std::string only_for_;
  std::chrono::steady_clock::time_point set_at_;
  std::deque<std::chrono::steady_clock::time_point> last_second_;  // the calls within it
  Counts counts_;
};

}  // namespace nodepilot::test
