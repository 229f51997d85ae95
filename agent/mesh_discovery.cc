#include "agent/mesh_discovery.h"

#include <memory>
#include <utility>

#include "agent/base/log.h"
#include "agent/mesh_stream.h"

namespace nodepilot {
namespace {

// What differs between the two services.
struct Kind {
  const char* path;
  const char* method;
  const char* type;
  mesh::ResourceSetPtr WorkloadResources::*resources;
};
constexpr Kind kListeners{"/envoy.service.listener.v3.ListenerDiscoveryService/StreamListeners",
                          "StreamListeners", mesh::kListenerType, &WorkloadResources::listeners};
constexpr Kind kClusters{"/envoy.service.cluster.v3.ClusterDiscoveryService/StreamClusters",
                         "StreamClusters", mesh::kClusterType, &WorkloadResources::clusters};

class DiscoveryStream : public MeshStream {
 public:
  using Verdict = mesh::DiscoverySession::Verdict;

  DiscoveryStream(const ApiContext& context, const Kind& kind, MeshKeeper& keeper, Call& call)
      : MeshStream(context, kind.method, keeper, call),
        kind_(kind),
        // One stream's nonces need to differ from each other only.
        session_(kind.type, [n = 0]() mutable { return std::to_string(++n); }),
        watch_(keeper.on_change([this] { proceed(); })) {}

  void on_message(std::string_view message) override {
    if (ended()) return;
    mesh::DiscoverySession::Request request;
    if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      return end(Status(Code::kInvalidArgument, "the request is no valid discovery request"));
    }
    auto verdict = session_.on_request(request);
    if (!verdict) return end(Status(verdict.error()));
    if (*verdict == Verdict::kSubscription) set_node(request.node());
    if (*verdict == Verdict::kNack) {
      keeper().note_rejection();
      log::warn("mesh policy rejected by client",
                {{"pid", call().peer()->pid()},
                 {"workload", workload_name()},
                 {"method", kind_.method},
                 {"detail", request.error_detail().message().substr(0, kMaxShown)}});
    }
    proceed();
  }

  void on_sent() override {
    session_.on_sent();
    proceed();
  }

 private:
  void proceed() override {
    if (workload() == nullptr) return;
    const WorkloadResources* resources = keeper().find(workload_name());
    if (resources == nullptr) return;
    session_.set(resources->*kind_.resources);
    if (auto response = session_.next()) call().send(make_frame(*response));
  }

  const Kind& kind_;
  mesh::DiscoverySession session_;
  std::shared_ptr<void> watch_;
};

}  // namespace

Methods mesh_discovery_methods(const ApiContext& context, MeshKeeper& keeper) {
  Methods methods;
  for (const Kind* kind : {&kListeners, &kClusters}) {
    Method method;
    method.path = kind->path;
    method.requests = Method::Requests::kMany;
    method.max_request_bytes = context.sds_request_bytes;
    method.open = [context, kind, &keeper](Call& call) {
      auto handler = std::make_unique<DiscoveryStream>(context, *kind, keeper, call);
      handler->start();
      return handler;
    };
    methods.push_back(std::move(method));
  }
  return methods;
}

}  // namespace nodepilot
