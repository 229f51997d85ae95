#include "sds/rpc/request_head.h"

#include "agent/base/log.h"
#include "sds/rpc/grpc_headers.h"

namespace nodepilot {
namespace {

constexpr std::size_t kFarBeyond = 4;  // times the bound

}  // namespace

bool RequestHead::add(std::string_view name, std::string_view value) {
  bytes_ += name.size() + value.size() + 32;
  if (bytes_ > max_bytes_) return bytes_ <= max_bytes_ * kFarBeyond;

  if (name == ":method") {
    http_method_ = value;
  } else if (name == ":path") {
    path_ = value;
  } else if (name == "content-type") {
    content_type_ = value;
  } else if (name == "grpc-timeout") {
    // A repeated one does not parse, as it should.
    timeout_ = timeout_.value_or("").append(value);
  } else if (!name.starts_with(':') && name != "te") {
    metadata_.fields.emplace_back(name, value);
  }
  return true;
}

std::optional<RequestHead::Refusal> RequestHead::refusal() const {
  if (bytes_ > max_bytes_) {
    return Refusal{200, Status(Code::kResourceExhausted,
                               "the headers have " + std::to_string(bytes_) + " bytes; at most " +
                                   std::to_string(max_bytes_) + " are allowed")};
  }
  if (http_method_ != "POST") {
    return Refusal{405, Status(Code::kUnimplemented,
                               "HTTP method " + quote(http_method_) + "; gRPC uses POST")};
  }
  if (!is_grpc_content_type(content_type_)) {
    return Refusal{415, Status(Code::kUnknown, "content-type " + quote(content_type_) +
                                                   "; application/grpc is served here")};
  }
  return std::nullopt;
}

}  // namespace nodepilot
