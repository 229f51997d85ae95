#include "sds/health.h"

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "agent/base/log.h"
#include "proto/grpc/health.pb.h"

namespace nodepilot {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

constexpr std::array<std::string_view, 3> kServices{
    "", "SpiffeWorkloadAPI", "envoy.service.secret.v3.SecretDiscoveryService"};

HealthCheckResponse::ServingStatus state_of(const std::string& service,
                                            const IdentityStore& store) {
  bool known = std::find(kServices.begin(), kServices.end(), service) != kServices.end();
  if (!known) return HealthCheckResponse::SERVICE_UNKNOWN;
  return store.bundle() ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
}

Frame make_answer(HealthCheckResponse::ServingStatus state) {
  HealthCheckResponse response;
  response.set_status(state);
  return make_frame(response);
}

class HealthCall : public CallHandler {
 public:
  HealthCall(IdentityStore& store, Call& call) : store_(store), call_(call) {}

  void on_message(std::string_view message) final {
    HealthCheckRequest request;
    if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      return call_.finish(
          Status(Code::kInvalidArgument, "the request is no valid HealthCheckRequest"));
    }
    service_ = request.service();
    answer();
  }

 protected:
  virtual void answer() = 0;

  IdentityStore& store() { return store_; }
  Call& call() { return call_; }
  const std::string& service() const { return service_; }

 private:
  IdentityStore& store_;
  Call& call_;
  std::string service_;
};

class Check : public HealthCall {
 public:
  using HealthCall::HealthCall;

 private:
  void answer() override {
    auto state = state_of(service(), store());
    if (state == HealthCheckResponse::SERVICE_UNKNOWN) {
      return call().finish(Status(Code::kNotFound, "no service " + quote(service()) +
                                                       "; reflection lists those served here, and "
                                                       "an empty name stands for all"));
    }
    call().send(make_answer(state));
    call().finish(Status());
  }
};

// Stays open for a service that is not known, too: that is the protocol.
class Watch : public HealthCall {
 public:
  using HealthCall::HealthCall;

 private:
  void answer() override {
    changes_ = store().on_change([this] { publish(); });
    publish();
  }

  void publish() {
    auto state = state_of(service(), store());
    if (std::exchange(told_, state) != state) call().send(make_answer(state));
  }

  HealthCheckResponse::ServingStatus told_ = HealthCheckResponse::UNKNOWN;
  std::shared_ptr<void> changes_;
};

template <class Handler>
Method method(const std::string& name, IdentityStore& store) {
  Method method;
  method.path = "/grpc.health.v1.Health/" + name;
  method.open = [&store](Call& call) { return std::make_unique<Handler>(store, call); };
  return method;
}

}  // namespace

Methods health_methods(IdentityStore& store) {
  return {method<Check>("Check", store), method<Watch>("Watch", store)};
}

}  // namespace nodepilot
