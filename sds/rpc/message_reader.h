// Takes gRPC messages out of a stream's bytes: one byte of flags, four of length, the message.
// Nothing of a message that is too large is ever buffered. Thread: loop.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace nodepilot {

class MessageReader {
 public:
  explicit MessageReader(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  // Takes `bytes` up to the end of the next message, and returns that message: a view that is
  // good until the next call or until what `bytes` views changes. Empty once all bytes are taken.
  // A compressed message is kUnimplemented, one that is too large kResourceExhausted, a prefix
  // that is no prefix kInternal; nothing can be read after an error.
  expected<std::optional<std::string_view>> next(std::string_view& bytes);

  // Whether a message, or its prefix, has begun and not ended.
  bool half_received() const { return prefix_size_ > 0; }
  // Memory in use for a message.
  std::size_t held() const { return buffer_.size(); }

 private:
  expected<void> read_prefix(std::string_view& bytes);

  const std::size_t max_bytes_;
  std::array<std::uint8_t, 5> prefix_{};
  std::size_t prefix_size_ = 0;
  std::size_t length_ = 0;  // of the message; known once the prefix is whole
  bool returned_ = false;   // `buffer_` is what the last call returned
  std::string buffer_;
};

}  // namespace nodepilot
