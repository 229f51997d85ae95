#include "sds/reflection_catalog.h"

#include <google/protobuf/descriptor.pb.h>

#include <algorithm>
#include <cassert>

#include "agent/base/log.h"
#include "agent/base/result.h"

namespace nodepilot {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::FileDescriptorProto;
using grpc::reflection::v1::ExtensionRequest;
using Request = grpc::reflection::v1::ServerReflectionRequest;
using Response = grpc::reflection::v1::ServerReflectionResponse;

void put_error(Response& response, Code code, const std::string& message) {
  response.mutable_error_response()->set_error_code(static_cast<int>(code));
  response.mutable_error_response()->set_error_message(message);
}

// `what` is what was asked for, in case there is none.
void put_file(Response& response, const FileDescriptor* file, const std::string& what) {
  if (!file) {
    return put_error(response, Code::kNotFound, "no " + what + " in the services of this socket");
  }
  FileDescriptorProto proto;
  file->CopyTo(&proto);
  response.mutable_file_descriptor_response()->add_file_descriptor_proto(proto.SerializeAsString());
}

const FileDescriptor* find_file(const google::protobuf::DescriptorPool& pool,
                                const ExtensionRequest& wanted) {
  const Descriptor* type = pool.FindMessageTypeByName(wanted.containing_type());
  if (!type) return nullptr;
  const FieldDescriptor* field = pool.FindExtensionByNumber(type, wanted.extension_number());
  return field ? field->file() : nullptr;
}

void put_extension_numbers(Response& response, const google::protobuf::DescriptorPool& pool,
                           const std::string& name) {
  const Descriptor* type = pool.FindMessageTypeByName(name);
  if (!type) return put_file(response, nullptr, "message " + quote(name));
  std::vector<const FieldDescriptor*> extensions;
  pool.FindAllExtensions(type, &extensions);
  auto& numbers = *response.mutable_all_extension_numbers_response();
  numbers.set_base_type_name(name);
  for (const FieldDescriptor* extension : extensions) {
    numbers.add_extension_number(extension->number());
  }
}

}  // namespace

ReflectionCatalog::ReflectionCatalog(const Files& files) {
  for (const FileDescriptor* file : files) {
    add(*file);
    for (int i = 0; i < file->service_count(); ++i) {
      services_.push_back(file->service(i)->full_name());
    }
  }
  std::sort(services_.begin(), services_.end());
}

void ReflectionCatalog::add(const FileDescriptor& file) {
  if (pool_.FindFileByName(file.name())) return;
  for (int i = 0; i < file.dependency_count(); ++i) add(*file.dependency(i));
  FileDescriptorProto proto;
  file.CopyTo(&proto);
  [[maybe_unused]] const FileDescriptor* added = pool_.BuildFile(proto);
  assert(added);
}

Response ReflectionCatalog::answer(const Request& request) const {
  Response response;
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  switch (request.message_request_case()) {
    case Request::kFileByFilename:
      put_file(response, pool_.FindFileByName(request.file_by_filename()),
               "file " + quote(request.file_by_filename()));
      break;
    case Request::kFileContainingSymbol:
      put_file(response, pool_.FindFileContainingSymbol(request.file_containing_symbol()),
               "symbol " + quote(request.file_containing_symbol()));
      break;
    case Request::kFileContainingExtension: {
      const ExtensionRequest& wanted = request.file_containing_extension();
      put_file(response, find_file(pool_, wanted),
               "extension " + std::to_string(wanted.extension_number()) + " of " +
                   quote(wanted.containing_type()));
      break;
    }
    case Request::kAllExtensionNumbersOfType:
      put_extension_numbers(response, pool_, request.all_extension_numbers_of_type());
      break;
    case Request::kListServices: {
      auto& list = *response.mutable_list_services_response();
      for (const std::string& service : services_) list.add_service()->set_name(service);
      break;
    }
    case Request::MESSAGE_REQUEST_NOT_SET:
      put_error(response, Code::kInvalidArgument,
                "the request asks for nothing that is known; ask for a file, a symbol, extensions "
                "or the services");
      break;
  }
  return response;
}

}  // namespace nodepilot
