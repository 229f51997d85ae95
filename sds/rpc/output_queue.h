// The bytes that wait for the socket, in order: frame headers by copy, replies by reference.
// Thread: loop.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nodepilot {

class OutputQueue {
 public:
  void append(std::string_view bytes);
  // A slice of a shared reply. `finishes`: the stream whose message ends with it, or 0.
  void append(std::shared_ptr<const std::string> bytes, std::size_t offset, std::size_t length,
              std::int32_t finishes);

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }

  // Points `vectors` at the first bytes; returns how many of them it used.
  std::size_t gather(std::span<iovec> vectors) const;
  // Drops the first `bytes`, and returns the streams whose message has ended with them.
  std::vector<std::int32_t> consume(std::size_t bytes);

 private:
  struct Segment {
    std::string copied;
    std::shared_ptr<const std::string> shared;  // instead of `copied`
    std::size_t offset = 0;
    std::size_t length = 0;
    std::int32_t finishes = 0;

    const char* data() const { return (shared ? shared->data() : copied.data()) + offset; }
  };

  std::vector<Segment> segments_;
  std::size_t first_ = 0;  // segments before it are gone
  std::size_t size_ = 0;
};

}  // namespace nodepilot
