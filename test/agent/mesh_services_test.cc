#include "agent/mesh_services.h"

#include <google/protobuf/dynamic_message.h>

#include <algorithm>

#include "agent/mesh_rendering.h"
#include "proto/envoy/listener.pb.h"
#include "proto/grpc/reflection.pb.h"
#include "sds/reflection.h"
#include "test/agent/mesh_rig.h"

namespace nodepilot {
namespace {

using grpc::reflection::v1::ServerReflectionRequest;
using grpc::reflection::v1::ServerReflectionResponse;
using testing::TestCall;

struct Rig : testing::MeshRig {
  Rig() : MeshRig({"web"}) {}

  Methods methods() { return mesh_methods(context, *keeper, sources); }

  mesh::PlaintextSources sources{clock.now(), 2};
};

ServerReflectionResponse reflect(const ServerReflectionRequest& request,
                                 const ReflectionCatalog::Files& files) {
  Methods methods = reflection_methods(files);
  TestCall call(methods, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
  call.write(request);
  return call.read<ServerReflectionResponse>();
}

bool is_told(const std::string& symbol, const ReflectionCatalog::Files& files) {
  ServerReflectionRequest request;
  request.set_file_containing_symbol(symbol);
  return reflect(request, files).has_file_descriptor_response();
}

// The names of all types that a message wraps in Any, at any depth.
void collect_types(const google::protobuf::Message& message, std::set<std::string>& types) {
  if (const auto* any = dynamic_cast<const google::protobuf::Any*>(&message)) {
    std::string name = any->type_url().substr(any->type_url().rfind('/') + 1);
    types.insert(name);
    const auto* type =
        google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(name);
    REQUIRE(type);
    std::unique_ptr<google::protobuf::Message> inner(
        google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
    REQUIRE(inner->ParseFromString(any->value()));
    return collect_types(*inner, types);
  }
  const auto* reflection = message.GetReflection();
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const auto* field : fields) {
    if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      collect_types(reflection->GetMessage(message, field), types);
      continue;
    }
    for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
      collect_types(reflection->GetRepeatedMessage(message, field, i), types);
    }
  }
}

TEST_CASE("every method of the mesh is in what reflection and health tell, and nothing else is") {
  Rig rig;
  std::set<std::string> services;
  for (const Method& method : rig.methods()) {
    std::string service = method.path.substr(1, method.path.rfind('/') - 1);
    services.insert(service);
    CHECK(is_told(service + "." + method.path.substr(method.path.rfind('/') + 1), mesh_files()));
  }

  auto names = mesh_service_names();

  CHECK(std::set<std::string>(names.begin(), names.end()) == services);
  CHECK(names.size() == 3);
}

TEST_CASE("reflection knows every type that listeners and clusters wrap") {
  Rig rig;
  std::set<std::string> types;
  for (mesh::Protocol protocol : {mesh::Protocol::kHttp, mesh::Protocol::kAuto}) {
    mesh::Workload web = *find_workload(*rig.config, "web");
    web.ports[0].protocol = protocol;
    mesh::Service service{.host = "pay",
                          .name_space = "shop",
                          .port = 80,
                          .listen = {"127.0.0.1", 1},
                          .service_accounts = {*SpiffeId::parse("spiffe://example.org/pay")}};
    service.endpoints.push_back({.address = {"127.0.0.1", 2}, .has_proxy = true});
    web.services.push_back(service);
    auto rendered = mesh::render(mesh_surroundings(*rig.config),
                                 {mesh::PolicySet("istio-system", {}), {}}, "istio-system", web);
    REQUIRE(rendered);
    for (const auto& listener : rendered->listeners) collect_types(listener, types);
    for (const auto& cluster : rendered->clusters) collect_types(cluster, types);
  }

  CHECK(types.size() >= 10);
  for (const std::string& type : types) {
    CAPTURE(type);
    CHECK(is_told(type, mesh_files()));
  }
}

TEST_CASE("an agent without a mesh tells of none") {
  for (const std::string& service : mesh_service_names()) CHECK_FALSE(is_told(service, {}));
}

}  // namespace
}  // namespace nodepilot
