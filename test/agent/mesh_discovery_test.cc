#include "agent/mesh_discovery.h"

#include "proto/envoy/listener.pb.h"
#include "test/agent/mesh_rig.h"

namespace nodepilot {
namespace {

using envoy::service::discovery::v3::DiscoveryRequest;
using envoy::service::discovery::v3::DiscoveryResponse;
using testing::MeshRig;
using testing::TestCall;

constexpr const char* kListeners =
    "/envoy.service.listener.v3.ListenerDiscoveryService/StreamListeners";
constexpr const char* kClusters =
    "/envoy.service.cluster.v3.ClusterDiscoveryService/StreamClusters";

DiscoveryRequest request(const std::string& node) {
  DiscoveryRequest request;
  request.mutable_node()->set_id(node);
  return request;
}

// A stream on which the workload `node` was asked for.
std::unique_ptr<TestCall> ask(MeshRig& rig, const std::string& node,
                              const char* method = kListeners) {
  auto call = rig.call(mesh_discovery_methods(rig.context, *rig.keeper), method);
  call->write(request(node));
  return call;
}

std::string first_name(const DiscoveryResponse& response) {
  envoy::config::listener::v3::Listener listener;
  REQUIRE(response.resources_size() == 1);
  REQUIRE(response.resources(0).UnpackTo(&listener));
  return listener.name();
}

TEST_CASE("an Envoy gets the listeners and clusters of its own workload") {
  MeshRig rig({"web"});

  CHECK(first_name(ask(rig, "web")->read<DiscoveryResponse>()) == "inbound_8080");
  auto clusters = ask(rig, "web", kClusters)->read<DiscoveryResponse>();
  CHECK(clusters.type_url() == mesh::kClusterType);
  CHECK(clusters.resources_size() == 1);
}

TEST_CASE("a workload of another identity and one that is not there are refused alike") {
  MeshRig rig({"web"});

  for (const char* method : {kListeners, kClusters}) {
    auto other = ask(rig, "pay", method);
    auto none = ask(rig, "nobody", method);
    CHECK(other->code() == Code::kPermissionDenied);
    CHECK(other->status()->message == none->status()->message);
    CHECK(none->code() == Code::kPermissionDenied);
    CHECK(other->sends() + none->sends() == 0);
  }
}

TEST_CASE("a caller without any identity gets none, whatever it calls itself") {
  MeshRig rig(std::vector<std::string>{});

  CHECK(ask(rig, "web")->code() == Code::kPermissionDenied);
}

TEST_CASE("a caller with both identities has both workloads, each on a stream of its own") {
  MeshRig rig({"web", "pay"});

  CHECK(first_name(ask(rig, "web")->read<DiscoveryResponse>()) == "inbound_8080");
  auto pay = ask(rig, "pay");
  CHECK(first_name(pay->read<DiscoveryResponse>()) == "inbound_9090");
  // Later messages of a stream have no node, or are none of its business.
  pay->write(request("web"));
  CHECK_FALSE(pay->has_message());
  CHECK_FALSE(pay->status());
}

TEST_CASE("who names no workload is waited for, and who names a long one costs no more") {
  MeshRig rig({"web"});

  auto silent = ask(rig, "");
  CHECK_FALSE(silent->status());
  CHECK_FALSE(silent->has_message());
  CHECK(ask(rig, std::string(200'000, 'w'))->code() == Code::kPermissionDenied);
}

TEST_CASE("what is no request, and a request of another type, end the stream") {
  MeshRig rig({"web"});
  auto garbage = rig.call(mesh_discovery_methods(rig.context, *rig.keeper), kListeners);
  garbage->write_bytes("\xff\xff");
  CHECK(garbage->code() == Code::kInvalidArgument);

  auto other = rig.call(mesh_discovery_methods(rig.context, *rig.keeper), kListeners);
  auto wrong = request("web");
  wrong.set_type_url(mesh::kClusterType);
  other->write(wrong);
  CHECK(other->code() == Code::kInvalidArgument);
}

TEST_CASE("a change of policy reaches who listens") {
  MeshRig rig({"web"});
  auto call = ask(rig, "web");
  std::string before = call->read<DiscoveryResponse>().version_info();
  CHECK_FALSE(call->has_message());

  rig.write_policy("STRICT");

  CHECK(call->read<DiscoveryResponse>().version_info() != before);
}

}  // namespace
}  // namespace nodepilot
