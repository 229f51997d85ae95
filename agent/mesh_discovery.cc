#include "agent/mesh_discovery.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "agent/base/log.h"
#include "agent/mesh_rendering.h"
#include "sds/caller_stream.h"

namespace nodepilot {
namespace {

constexpr std::size_t kMaxShown = 256;

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

class MeshStream : public CallerStream {
 public:
  using Verdict = mesh::DiscoverySession::Verdict;

  MeshStream(const ApiContext& context, const Kind& kind, MeshKeeper& keeper, Call& call)
      : CallerStream(context, call, kind.method, Interest::kBundles),
        kind_(kind),
        keeper_(keeper),
        // One stream's nonces need to differ from each other only.
        session_(kind.type, [n = 0]() mutable { return std::to_string(++n); }),
        watch_(keeper.on_change([this] { proceed(); })) {}

  void start() { identify(); }

  void on_message(std::string_view message) override {
    if (ended()) return;
    mesh::DiscoverySession::Request request;
    if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      return end(Status(Code::kInvalidArgument, "the request is no valid discovery request"));
    }
    auto verdict = session_.on_request(request);
    if (!verdict) return end(Status(verdict.error()));
    if (*verdict == Verdict::kSubscription) workload_ = request.node().id().substr(0, kMaxShown);
    if (*verdict == Verdict::kNack) {
      keeper_.note_rejection();
      log::warn("mesh policy rejected by client",
                {{"pid", call().peer()->pid()},
                 {"workload", workload_},
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
  void on_update(UpdatePtr update) override {
    update_ = std::move(update);
    proceed();
  }

  bool may_have(const mesh::Workload& workload) const {
    const auto& entries = update_->entries;
    return std::any_of(entries.begin(), entries.end(), [&](const EntryPtr& entry) {
      return entry->spiffe_id == workload.identity;
    });
  }

  void proceed() {
    if (ended() || !update_ || workload_.empty()) return;
    const mesh::Workload* workload = find_workload(keeper_.config(), workload_);
    // The same answer either way: who asks learns of no workload that is not its own.
    if (workload == nullptr || !may_have(*workload)) {
      return end(Status(Code::kPermissionDenied,
                        "node.id names no workload whose identity this process has"));
    }
    const WorkloadResources* resources = keeper_.find(workload_);
    if (resources == nullptr) return;
    session_.set(resources->*kind_.resources);
    auto response = session_.next();
    if (!response) return;
    served(update_->entries.size());
    call().send(make_frame(*response));
  }

  const Kind& kind_;
  MeshKeeper& keeper_;
  mesh::DiscoverySession session_;
  UpdatePtr update_;
  std::string workload_;  // that the client's node names
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
      auto handler = std::make_unique<MeshStream>(context, *kind, keeper, call);
      handler->start();
      return handler;
    };
    methods.push_back(std::move(method));
  }
  return methods;
}

}  // namespace nodepilot
