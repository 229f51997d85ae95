#include "sds/health.h"

#include <memory>
#include <set>
#include <string>
#include <utility>

#include "agent/base/log.h"
#include "proto/grpc/health.pb.h"

namespace nodepilot {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

using Services = std::shared_ptr<const std::set<std::string>>;

Frame make_answer(HealthCheckResponse::ServingStatus state) {
  HealthCheckResponse response;
  response.set_status(state);
  return make_frame(response);
}

class HealthCall : public CallHandler {
 public:
  HealthCall(IdentityStore& store, Services services, Call& call)
      : store_(store), services_(std::move(services)), call_(call) {}

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
  HealthCheckResponse::ServingStatus state() const {
    if (!services_->contains(service_)) return HealthCheckResponse::SERVICE_UNKNOWN;
    return store_.bundle() ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
  }

 private:
  IdentityStore& store_;
  const Services services_;
  Call& call_;
  std::string service_;
};

class Check : public HealthCall {
 public:
  using HealthCall::HealthCall;

 private:
  void answer() override {
    if (state() == HealthCheckResponse::SERVICE_UNKNOWN) {
      return call().finish(Status(Code::kNotFound, "no service " + quote(service()) +
                                                       "; reflection lists those served here, and "
                                                       "an empty name stands for all"));
    }
    call().send(make_answer(state()));
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
    auto now = state();
    if (std::exchange(told_, now) != now) call().send(make_answer(now));
  }

  HealthCheckResponse::ServingStatus told_ = HealthCheckResponse::UNKNOWN;
  std::shared_ptr<void> changes_;
};

template <class Handler>
Method method(const std::string& name, IdentityStore& store, const Services& services) {
  Method method;
  method.path = "/grpc.health.v1.Health/" + name;
  method.open = [&store, services](Call& call) {
    return std::make_unique<Handler>(store, services, call);
  };
  return method;
}

}  // namespace

Methods health_methods(IdentityStore& store, const std::vector<std::string>& more) {
  std::set<std::string> services(more.begin(), more.end());
  services.insert({"", "SpiffeWorkloadAPI", "envoy.service.secret.v3.SecretDiscoveryService"});
  auto shared = std::make_shared<const std::set<std::string>>(std::move(services));
  return {method<Check>("Check", store, shared), method<Watch>("Watch", store, shared)};
}

}  // namespace nodepilot
