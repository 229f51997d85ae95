// What gRPC server reflection has to tell: the files it is given, and what they import.
#pragma once

#include <google/protobuf/descriptor.h>

#include <string>
#include <vector>

#include "proto/grpc/reflection.pb.h"

namespace nodepilot {

// Immutable. Thread: loop.
class ReflectionCatalog {
 public:
  using Files = std::vector<const google::protobuf::FileDescriptor*>;

  explicit ReflectionCatalog(const Files& files);

  // Never fails: what is wrong with the request is said in the answer.
  grpc::reflection::v1::ServerReflectionResponse answer(
      const grpc::reflection::v1::ServerReflectionRequest& request) const;

 private:
  void add(const google::protobuf::FileDescriptor& file);

  // A pool of its own. The program's would also tell what is not served here, and it remembers
  // each name that it did not find: callers could fill the memory with them.
  google::protobuf::DescriptorPool pool_;
  std::vector<std::string> services_;
};

}  // namespace nodepilot
