#include "sds/reflection_catalog.h"

#include <doctest/doctest.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/text_format.h>

#include "agent/base/result.h"

namespace nodepilot {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptorProto;
using grpc::reflection::v1::ServerReflectionRequest;
using grpc::reflection::v1::ServerReflectionResponse;

constexpr const char* kBase = R"(
  name: "base.proto" package: "base"
  message_type {
    name: "Extensible"
    field { name: "flag" number: 1 type: TYPE_BOOL label: LABEL_OPTIONAL }
    extension_range { start: 100 end: 200 }
  })";

constexpr const char* kApi = R"(
  name: "api.proto" package: "api" dependency: "base.proto"
  message_type {
    name: "Outer"
    field { name: "text" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL oneof_index: 0 }
    oneof_decl { name: "choice" }
    nested_type { name: "Inner" }
    enum_type { name: "Kind" value { name: "PLAIN" number: 0 } }
  }
  extension {
    name: "more" number: 101 type: TYPE_BOOL label: LABEL_OPTIONAL extendee: ".base.Extensible"
  }
  extension {
    name: "most" number: 102 type: TYPE_BOOL label: LABEL_OPTIONAL extendee: ".base.Extensible"
  }
  service {
    name: "Zeta"
    method { name: "Do" input_type: ".api.Outer" output_type: ".base.Extensible" }
  }
  service { name: "Alpha" })";

// In the program, but neither served nor imported.
constexpr const char* kOther = R"(
  name: "other.proto" package: "other" dependency: "base.proto"
  message_type { name: "Hidden" }
  extension {
    name: "secret" number: 103 type: TYPE_BOOL label: LABEL_OPTIONAL extendee: ".base.Extensible"
  })";

// A catalog of api.proto alone.
class Rig {
 public:
  Rig() : catalog_({build(kBase, kApi)}) {}

  ServerReflectionResponse answer(const std::string& request_text) const {
    ServerReflectionRequest request;
    REQUIRE(google::protobuf::TextFormat::ParseFromString(request_text, &request));
    return catalog_.answer(request);
  }

  // The name of the one file in the answer, or its error's code.
  std::string file(const std::string& request_text) const {
    auto reply = answer(request_text);
    if (reply.has_error_response()) {
      return to_string(static_cast<Code>(reply.error_response().error_code()));
    }
    REQUIRE(reply.file_descriptor_response().file_descriptor_proto_size() == 1);
    FileDescriptorProto proto;
    REQUIRE(proto.ParseFromString(reply.file_descriptor_response().file_descriptor_proto(0)));
    return proto.name();
  }

 private:
  const google::protobuf::FileDescriptor* build(const char* base, const char* api) {
    for (const char* text : {base, kOther, api}) {
      FileDescriptorProto proto;
      REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &proto));
      REQUIRE(program_.BuildFile(proto));
    }
    return program_.FindFileByName("api.proto");
  }

  DescriptorPool program_;
  ReflectionCatalog catalog_;
};

TEST_CASE("a file is found by its name, and so is what it imports") {
  Rig rig;

  CHECK(rig.file("file_by_filename: 'api.proto'") == "api.proto");
  CHECK(rig.file("file_by_filename: 'base.proto'") == "base.proto");
}

TEST_CASE("a file is found by everything that it defines") {
  Rig rig;

  for (const char* symbol :
       {"api.Zeta", "api.Zeta.Do", "api.Alpha", "api.Outer", "api.Outer.text", "api.Outer.choice",
        "api.Outer.Inner", "api.Outer.Kind", "api.Outer.PLAIN", "api.more"}) {
    CAPTURE(symbol);
    CHECK(rig.file(std::string("file_containing_symbol: '") + symbol + "'") == "api.proto");
  }
  CHECK(rig.file("file_containing_symbol: 'base.Extensible.flag'") == "base.proto");
}

TEST_CASE("what is not there is NOT_FOUND, by name, and does not end the conversation") {
  Rig rig;

  for (const char* request :
       {"file_by_filename: 'nothing'", "file_by_filename: ''", "file_by_filename: '../api.proto'",
        "file_containing_symbol: 'nothing'", "file_containing_symbol: ''",
        "file_containing_symbol: '.api.Outer'", "file_containing_symbol: 'api.Zeta.Undo'",
        "file_containing_extension { containing_type: 'nothing' extension_number: 101 }",
        "file_containing_extension { containing_type: 'base.Extensible' extension_number: 150 }",
        "file_containing_extension { containing_type: 'api.Outer' extension_number: 1 }",
        "all_extension_numbers_of_type: 'nothing'"}) {
    CAPTURE(request);
    CHECK(rig.file(request) == "NOT_FOUND");
  }
  CHECK(rig.answer("file_by_filename: 'no\\nthing'").error_response().error_message() ==
        "no file \"no\\nthing\" in the services of this socket");
}

TEST_CASE("what the program has and the services do not need is NOT_FOUND") {
  Rig rig;

  for (const char* request :
       {"file_by_filename: 'other.proto'", "file_containing_symbol: 'other.Hidden'",
        "file_containing_symbol: 'other.secret'", "file_containing_symbol: 'other'",
        "file_containing_extension { containing_type: 'base.Extensible' extension_number: 103 }",
        "file_by_filename: 'google/protobuf/descriptor.proto'"}) {
    CAPTURE(request);
    CHECK(rig.file(request) == "NOT_FOUND");
  }
}

TEST_CASE("extensions are found by number and listed by type") {
  Rig rig;

  CHECK(rig.file("file_containing_extension { containing_type: 'base.Extensible' "
                 "extension_number: 101 }") == "api.proto");
  auto numbers = rig.answer("all_extension_numbers_of_type: 'base.Extensible'")
                     .all_extension_numbers_response();
  CHECK(numbers.base_type_name() == "base.Extensible");
  CHECK(std::set<int>(numbers.extension_number().begin(), numbers.extension_number().end()) ==
        std::set<int>{101, 102});
}

TEST_CASE("a type without extensions has an empty list of them") {
  Rig rig;

  auto answer = rig.answer("all_extension_numbers_of_type: 'api.Outer'");

  REQUIRE(answer.has_all_extension_numbers_response());
  CHECK(answer.all_extension_numbers_response().base_type_name() == "api.Outer");
  CHECK(answer.all_extension_numbers_response().extension_number_size() == 0);
}

TEST_CASE("services are listed in order, whatever the request's content says") {
  Rig rig;

  auto list = rig.answer("list_services: 'anything'").list_services_response();

  REQUIRE(list.service_size() == 2);
  CHECK(list.service(0).name() == "api.Alpha");
  CHECK(list.service(1).name() == "api.Zeta");
}

TEST_CASE("an answer repeats its request and host") {
  Rig rig;

  auto answer = rig.answer("host: 'here' file_by_filename: 'nothing'");

  CHECK(answer.valid_host() == "here");
  CHECK(answer.original_request().host() == "here");
  CHECK(answer.original_request().file_by_filename() == "nothing");
}

TEST_CASE("a request for nothing that is known gets an error in its answer") {
  Rig rig;

  CHECK(rig.file("host: 'here'") == "INVALID_ARGUMENT");
}

}  // namespace
}  // namespace nodepilot
