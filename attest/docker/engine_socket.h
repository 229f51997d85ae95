// A container engine behind a Unix socket, asked by HTTP.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>

#include "agent/base/result.h"
#include "agent/base/time.h"

namespace nodepilot {

// Thread: any, several at once; each question takes a connection of its own.
class EngineSocket {
 public:
  // `owner` is who must have opened the socket for listening, as the kernel tells of a connection:
  // what stands at the path by whatever means is not believed for its place alone.
  EngineSocket(std::filesystem::path path, uid_t owner) : path_(std::move(path)), owner_(owner) {}

  // What the engine answers to GET /containers/<id>/json, at most 4 MiB, all of it within
  // `timeout`. kNotFound: it has no such container. kPermissionDenied: the socket is another
  // user's. kDeadlineExceeded or kUnavailable: it gives no usable answer.
  expected<std::string> inspect(const std::string& container_id, Duration timeout) const;

 private:
  const std::filesystem::path path_;
  const uid_t owner_;
};

}  // namespace nodepilot
