#include "sds/rpc/message_reader.h"

#include <algorithm>

namespace nodepilot {

expected<void> MessageReader::read_prefix(std::string_view& bytes) {
  std::size_t n = std::min(prefix_.size() - prefix_size_, bytes.size());
  std::copy_n(bytes.begin(), n, prefix_.begin() + prefix_size_);
  prefix_size_ += n;
  bytes.remove_prefix(n);
  if (prefix_size_ < prefix_.size()) return {};

  if (prefix_[0] == 1) {
    return fail(Code::kUnimplemented, "compressed messages are not supported; send identity");
  }
  if (prefix_[0] != 0) {
    return fail(Code::kInternal,
                "a message begins with flags " + std::to_string(prefix_[0]) + "; 0 is allowed");
  }
  length_ = std::size_t{prefix_[1]} << 24 | prefix_[2] << 16 | prefix_[3] << 8 | prefix_[4];
  if (length_ > max_bytes_) {
    return fail(Code::kResourceExhausted, "a message has " + std::to_string(length_) +
                                              " bytes; at most " + std::to_string(max_bytes_) +
                                              " are allowed");
  }
  return {};
}

expected<std::optional<std::string_view>> MessageReader::next(std::string_view& bytes) {
  if (returned_) {
    buffer_ = std::string();
    returned_ = false;
  }
  if (prefix_size_ < prefix_.size()) {
    TRY(read_prefix(bytes));
    if (prefix_size_ < prefix_.size()) return std::nullopt;
  }
  std::string_view message = bytes.substr(0, length_ - buffer_.size());
  bytes.remove_prefix(message.size());
  if (message.size() == length_) {  // whole, as it nearly always is: no copy
    prefix_size_ = 0;
    return message;
  }
  buffer_.append(message);
  if (buffer_.size() < length_) return std::nullopt;
  prefix_size_ = 0;
  returned_ = true;
  return buffer_;
}

}  // namespace nodepilot
