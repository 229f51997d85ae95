// Follows where HTTP/2 frames begin and end in what a client sends, because nghttp2 does not tell
// that it waits for the rest of one. Thread: loop.
#pragma once

#include <cstdint>
#include <string_view>

namespace nodepilot {

class FrameBoundary {
 public:
  void read(std::string_view bytes);

  // Whether the preface or a frame has begun and not ended.
  bool inside() const { return left_ > 0 || header_size_ > 0; }

 private:
  std::uint32_t left_ = 24;  // of the payload; at first, of the client's preface
  std::uint32_t length_ = 0;
  std::uint8_t header_size_ = 0;
};

}  // namespace nodepilot
