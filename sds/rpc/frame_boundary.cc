#include "sds/rpc/frame_boundary.h"

#include <algorithm>

namespace nodepilot {
namespace {

constexpr std::uint8_t kHeaderBytes = 9;
constexpr std::uint8_t kLengthBytes = 3;  // its first

}  // namespace

void FrameBoundary::read(std::string_view bytes) {
  while (!bytes.empty()) {
    if (left_ > 0) {
      auto skipped = static_cast<std::uint32_t>(std::min<std::size_t>(left_, bytes.size()));
      left_ -= skipped;
      bytes.remove_prefix(skipped);
      continue;
    }
    if (header_size_ < kLengthBytes) {
      length_ = length_ << 8 | static_cast<std::uint8_t>(bytes.front());
    }
    bytes.remove_prefix(1);
    if (++header_size_ < kHeaderBytes) continue;
    left_ = length_;
    length_ = 0;
    header_size_ = 0;
  }
}

}  // namespace nodepilot
