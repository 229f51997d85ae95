#include "sds/reflection.h"

#include <doctest/doctest.h>
#include <google/protobuf/descriptor.pb.h>

#include <map>
#include <optional>
#include <set>

#include "proto/envoy/tls.pb.h"
#include "proto/grpc/reflection.pb.h"
#include "proto/grpc/reflection_v1alpha.pb.h"
#include "proto/nodepilot/admin.pb.h"
#include "sds/health.h"
#include "sds/secret_discovery.h"
#include "test/sds/kit.h"

namespace nodepilot {
namespace {

using google::protobuf::FileDescriptorProto;
using grpc::reflection::v1::ServerReflectionRequest;
using grpc::reflection::v1::ServerReflectionResponse;
using testing::Rig;
using testing::TestCall;

constexpr const char* kV1 = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
constexpr const char* kV1Alpha = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

ServerReflectionRequest for_file(const std::string& name) {
  ServerReflectionRequest request;
  request.set_file_by_filename(name);
  return request;
}

ServerReflectionRequest for_symbol(const std::string& name) {
  ServerReflectionRequest request;
  request.set_file_containing_symbol(name);
  return request;
}

// One answer on a stream of its own.
ServerReflectionResponse ask(const ServerReflectionRequest& request, const char* path = kV1) {
  Methods methods = reflection_methods();
  TestCall call(methods, path);
  call.write(request);
  return call.read<ServerReflectionResponse>();
}

// The file in the answer; empty if it has none.
std::optional<FileDescriptorProto> file_in(const ServerReflectionResponse& answer) {
  if (answer.file_descriptor_response().file_descriptor_proto_size() != 1) return std::nullopt;
  FileDescriptorProto file;
  REQUIRE(file.ParseFromString(answer.file_descriptor_response().file_descriptor_proto(0)));
  return file;
}

std::set<std::string> listed_services(const char* path = kV1) {
  ServerReflectionRequest request;
  request.set_list_services("");
  auto answer = ask(request, path);
  std::set<std::string> names;
  for (const auto& service : answer.list_services_response().service()) {
    names.insert(service.name());
  }
  return names;
}

// Every file that a client gets who asks for the services and then for all that is imported.
std::map<std::string, FileDescriptorProto> reachable_files() {
  std::map<std::string, FileDescriptorProto> files;
  std::vector<ServerReflectionRequest> open;
  for (const std::string& service : listed_services()) open.push_back(for_symbol(service));
  while (!open.empty()) {
    auto file = file_in(ask(open.back()));
    REQUIRE(file);
    open.pop_back();
    if (!files.emplace(file->name(), *file).second) continue;
    for (const std::string& import : file->dependency()) open.push_back(for_file(import));
  }
  return files;
}

TEST_CASE("reflection lists the services whose methods are served, and no other") {
  Rig rig({});
  std::set<std::string> served;
  for (const Methods& api : {workload_api_methods(rig.context),
                             secret_discovery_methods(rig.context, rig.secret_options, rig.files),
                             health_methods(rig.store), reflection_methods()}) {
    for (const Method& method : api) served.insert(method.path);
  }

  std::set<std::string> told;
  auto files = reachable_files();
  for (const auto& [name, file] : files) {
    for (const auto& service : file.service()) {
      std::string package = file.package().empty() ? "" : file.package() + ".";
      CHECK(listed_services().contains(package + service.name()));
      for (const auto& method : service.method()) {
        told.insert("/" + package + service.name() + "/" + method.name());
      }
    }
  }

  CHECK(listed_services().size() == 5);
  CHECK(listed_services(kV1Alpha) == listed_services());
  CHECK(told == served);
}

TEST_CASE("the Workload API is described with the standard's seven methods and kinds") {
  auto file = file_in(ask(for_symbol("SpiffeWorkloadAPI")));

  REQUIRE(file);
  REQUIRE(file->service_size() == 1);
  std::set<std::string> methods;
  for (const auto& method : file->service(0).method()) {
    CHECK_FALSE(method.client_streaming());
    methods.insert(method.name() + " " + method.input_type() + " " +
                   (method.server_streaming() ? "stream " : "") + method.output_type());
  }
  CHECK(methods == std::set<std::string>{
                       "FetchX509SVID .X509SVIDRequest stream .X509SVIDResponse",
                       "FetchX509Bundles .X509BundlesRequest stream .X509BundlesResponse",
                       "FetchJWTSVID .JWTSVIDRequest .JWTSVIDResponse",
                       "FetchJWTBundles .JWTBundlesRequest stream .JWTBundlesResponse",
                       "ValidateJWTSVID .ValidateJWTSVIDRequest .ValidateJWTSVIDResponse",
                       "FetchWITSVID .WITSVIDRequest stream .WITSVIDResponse",
                       "FetchWITBundles .WITBundlesRequest stream .WITBundlesResponse",
                   });
  CHECK(file->package().empty());
  CHECK_FALSE(file->has_options());
  CHECK(file->dependency_size() == 1);
  CHECK(file->dependency(0) == "google/protobuf/struct.proto");
}

TEST_CASE("the files that a client can reach build a pool of descriptors") {
  google::protobuf::DescriptorPool pool;
  auto files = reachable_files();

  // In any order, each when its imports are there.
  for (std::size_t round = 0; round < files.size(); ++round) {
    for (const auto& [name, file] : files) {
      const auto& imports = file.dependency();
      bool ready = std::all_of(imports.begin(), imports.end(), [&](const std::string& import) {
        return pool.FindFileByName(import);
      });
      if (ready && !pool.FindFileByName(name)) REQUIRE(pool.BuildFile(file));
    }
  }

  CHECK(pool.FindMethodByName("SpiffeWorkloadAPI.FetchX509Bundles"));
  CHECK(pool.FindMethodByName("envoy.service.secret.v3.SecretDiscoveryService.StreamSecrets"));
  CHECK(pool.FindMethodByName("grpc.health.v1.Health.Watch"));
}

TEST_CASE("the secrets that SDS wraps are described, too") {
  auto file = file_in(ask(for_symbol("envoy.extensions.transport_sockets.tls.v3.Secret")));

  REQUIRE(file);
  CHECK(file->name() ==
        envoy::extensions::transport_sockets::tls::v3::Secret::descriptor()->file()->name());
}

TEST_CASE("the admin API cannot be found by reflection") {
  const auto* admin = ::nodepilot::admin::v1::GetStatusRequest::descriptor()->file();

  for (const ServerReflectionRequest& request :
       {for_file(admin->name()), for_symbol("nodepilot.admin.v1.Admin"),
        for_symbol("nodepilot.admin.v1.Admin.Rotate"),
        for_symbol("nodepilot.admin.v1.GetStatusRequest"), for_symbol("nodepilot.admin.v1"),
        for_symbol("nodepilot")}) {
    auto answer = ask(request);

    CAPTURE(request.ShortDebugString());
    CHECK(answer.error_response().error_code() == static_cast<int>(Code::kNotFound));
  }
  CHECK_FALSE(reachable_files().contains(admin->name()));
}

TEST_CASE("v1alpha differs from v1 by its package alone") {
  auto strip = [](const google::protobuf::FileDescriptor* file) {
    FileDescriptorProto proto;
    file->CopyTo(&proto);
    proto.clear_name();
    std::string text = proto.DebugString();
    std::size_t at = 0;
    while ((at = text.find(file->package())) != std::string::npos) {
      text.replace(at, file->package().size(), "PACKAGE");
    }
    return text;
  };

  CHECK(strip(grpc::reflection::v1alpha::ServerReflectionRequest::descriptor()->file()) ==
        strip(ServerReflectionRequest::descriptor()->file()));
}

TEST_CASE("v1alpha answers as v1 does") {
  auto request = for_symbol("SpiffeWorkloadAPI.FetchX509SVID");

  CHECK(ask(request, kV1Alpha).SerializeAsString() == ask(request, kV1).SerializeAsString());
}

TEST_CASE("requests that come while an answer is under way are answered in turn") {
  Methods methods = reflection_methods();
  TestCall call(methods, kV1);
  const std::vector<std::string> wanted{"X509SVID", "nothing.of.the.kind", "grpc.health.v1.Health"};

  for (const std::string& symbol : wanted) call.write(for_symbol(symbol));

  for (const std::string& symbol : wanted) {
    CHECK(call.sends() <= wanted.size());
    auto answer = call.read<ServerReflectionResponse>();
    CHECK(answer.original_request().file_containing_symbol() == symbol);
  }
  CHECK_FALSE(call.has_message());
  CHECK_FALSE(call.status());
}

TEST_CASE("the half-close ends the stream once every request is answered") {
  Methods methods = reflection_methods();
  TestCall call(methods, kV1);
  call.write(for_symbol("X509SVID"));
  call.write(for_symbol("JWTSVID"));

  call.half_close();

  CHECK_FALSE(call.status());
  call.read<ServerReflectionResponse>();
  CHECK(call.read<ServerReflectionResponse>().original_request().file_containing_symbol() ==
        "JWTSVID");
  CHECK(call.code() == Code::kOk);
}

TEST_CASE("the half-close of an idle stream ends it at once") {
  Methods methods = reflection_methods();
  TestCall call(methods, kV1);

  call.half_close();

  CHECK(call.code() == Code::kOk);
}

TEST_CASE("a client that asks on and on without reading is cut off") {
  Methods methods = reflection_methods();
  TestCall call(methods, kV1);

  int asked = 0;
  while (!call.status() && asked < 1000) {
    call.write(for_symbol("X509SVID"));
    ++asked;
  }

  CHECK(call.code() == Code::kResourceExhausted);
  CHECK(asked > 100);
}

TEST_CASE("what waits for its turn is what the stream says it holds") {
  Methods methods = reflection_methods();
  TestCall call(methods, kV1);
  auto handler = methods.front().open(call);
  std::string request = for_symbol("X509SVID").SerializeAsString();

  handler->on_message(request);
  CHECK(handler->held() == 0);
  handler->on_message(request);
  CHECK(handler->held() >= request.size());
  handler->on_sent();

  CHECK(handler->held() == 0);
}

TEST_CASE("a reflection request that does not parse is refused, after those before it") {
  Methods methods = reflection_methods();
  TestCall call(methods, kV1);
  call.write(for_symbol("X509SVID"));
  call.write_bytes("\x0a\x7f");
  CHECK_FALSE(call.status());

  call.read<ServerReflectionResponse>();

  CHECK(call.code() == Code::kInvalidArgument);
}

}  // namespace
}  // namespace nodepilot
