#include "sds/rpc/output_queue.h"

#include <algorithm>

namespace nodepilot {
namespace {

// A message: the header of its frame, and what is in it.
constexpr std::size_t kUsualSegments = 2;

}  // namespace

void OutputQueue::append(std::string_view bytes) {
  if (segments_.empty()) segments_.reserve(kUsualSegments);
  if (segments_.empty() || segments_.back().shared) segments_.emplace_back();
  segments_.back().copied.append(bytes);
  segments_.back().length += bytes.size();
  size_ += bytes.size();
}

void OutputQueue::append(std::shared_ptr<const std::string> bytes, std::size_t offset,
                         std::size_t length, std::int32_t finishes) {
  segments_.push_back({{}, std::move(bytes), offset, length, finishes});
  size_ += length;
}

std::size_t OutputQueue::gather(std::span<iovec> vectors) const {
  std::size_t n = std::min(vectors.size(), segments_.size() - first_);
  for (std::size_t i = 0; i < n; ++i) {
    const Segment& segment = segments_[first_ + i];
    // iovec serves reading too and so has no const; sendmsg() does not write.
    vectors[i] = {const_cast<char*>(segment.data()), segment.length};  // NOLINT
  }
  return n;
}

std::vector<std::int32_t> OutputQueue::consume(std::size_t bytes) {
  std::vector<std::int32_t> finished;
  size_ -= bytes;
  while (first_ < segments_.size() && segments_[first_].length <= bytes) {
    Segment& segment = segments_[first_++];
    bytes -= segment.length;
    if (segment.finishes != 0) finished.push_back(segment.finishes);
    segment.shared.reset();
  }
  if (bytes > 0) {
    segments_[first_].offset += bytes;
    segments_[first_].length -= bytes;
  }
  if (size_ == 0) {
    segments_ = std::vector<Segment>();  // an idle connection keeps no buffer
    first_ = 0;
  }
  return finished;
}

}  // namespace nodepilot
