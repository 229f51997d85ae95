// The header fields of one request, held within a bound, and what gRPC asks of them.
// Thread: loop.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "sds/rpc/call.h"

namespace nodepilot {

class RequestHead {
 public:
  explicit RequestHead(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  // Nothing is stored beyond the bound. False once the fields are far beyond it: a block that is
  // not worth decoding to its end.
  bool add(std::string_view name, std::string_view value);

  // Why this request is no call that could be served, if so. With an HTTP status other than 200
  // it is not gRPC at all and gets a plain HTTP answer.
  struct Refusal {
    int http_status = 200;
    Status status;
  };
  std::optional<Refusal> refusal() const;

  const std::string& path() const { return path_; }
  const std::optional<std::string>& timeout() const { return timeout_; }
  // Bytes that it keeps in memory.
  std::size_t held() const { return std::min(bytes_, max_bytes_); }
  Metadata take_metadata() { return std::move(metadata_); }

 private:
  const std::size_t max_bytes_;
  std::size_t bytes_ = 0;  // of all fields, as HTTP/2 counts: name + value + 32 each
  std::string http_method_;
  std::string path_;
  std::string content_type_;
  std::optional<std::string> timeout_;
  Metadata metadata_;
};

}  // namespace nodepilot
