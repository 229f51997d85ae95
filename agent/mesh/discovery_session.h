// One stream of listeners or of clusters, state of the world: every response carries all that there
// is. One response is under way until on_sent(); what changes meanwhile goes into the next. What
// the client rejects (NACK) is not sent again before it changes. Pure. Thread: loop.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "proto/envoy/discovery.pb.h"

namespace nodepilot::mesh {

inline constexpr const char* kListenerType =
    "type.googleapis.com/envoy.config.listener.v3.Listener";
inline constexpr const char* kClusterType = "type.googleapis.com/envoy.config.cluster.v3.Cluster";

// All resources of one type that a workload's Envoy gets. Immutable. Thread: any.
struct ResourceSet {
  std::string version;  // of the content: equal content has equal versions, after a restart, too
  std::vector<google::protobuf::Any> resources;
};
using ResourceSetPtr = std::shared_ptr<const ResourceSet>;

class DiscoverySession {
 public:
  using Request = envoy::service::discovery::v3::DiscoveryRequest;
  using Response = envoy::service::discovery::v3::DiscoveryResponse;
  enum class Verdict { kSubscription, kAck, kNack, kStale };

  DiscoverySession(std::string type, std::function<std::string()> make_nonce)
      : type_(std::move(type)), make_nonce_(std::move(make_nonce)) {}

  // kInvalidArgument, which ends the stream, for another type.
  expected<Verdict> on_request(const Request& request);
  // What there is from now on; not null.
  void set(ResourceSetPtr latest) { latest_ = std::move(latest); }
  // The next response, if there is something to say and nothing is under way.
  std::optional<Response> next();
  void on_sent() { under_way_ = false; }

 private:
  const std::string type_;
  const std::function<std::string()> make_nonce_;
  ResourceSetPtr latest_;
  std::string told_;   // the version sent last
  std::string nonce_;  // of it
  bool started_ = false;
  bool under_way_ = false;
};

}  // namespace nodepilot::mesh
