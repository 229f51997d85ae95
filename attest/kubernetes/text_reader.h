// The characters of a text that arrives in pieces, as nlohmann's parser reads them.
// For this room only. Thread: worker, one at a time.
#pragma once

#include <iterator>
#include <optional>

#include "attest/kubernetes/kubelet.h"

namespace nodepilot {

struct TextLimits {
  std::size_t max_bytes;        // of all
  std::size_t max_token_bytes;  // of one string or number: the parser holds it whole
};

class TextReader {
 public:
  // `text` outlives it.
  TextReader(PodListText& text, TextLimits limits) : text_(text), limits_(limits) {}

  // Whether there is another character. Fetches the next piece if it must; one that cannot be had
  // or is beyond the limits is the end, with failure() saying why.
  bool has_next() { return at_ < piece_.size() || fetch(); }
  char peek() const { return piece_[at_]; }
  void advance() { ++at_; }

  const std::optional<Error>& failure() const { return failure_; }

 private:
  bool fetch();
  bool stop(Error error);
  // Whether the piece keeps the limits, as it stands behind the earlier ones.
  expected<void> check_tokens();

  PodListText& text_;
  const TextLimits limits_;
  std::string_view piece_;
  std::size_t at_ = 0;
  std::size_t bytes_ = 0;
  std::size_t token_bytes_ = 0;  // of the token that is not yet complete
  bool in_string_ = false;
  bool is_escaped_ = false;  // the next character is
  std::optional<Error> failure_;
};

// An input iterator over the characters of a reader, which outlives it. One without a reader is the
// end.
class TextIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = char;

  TextIterator() = default;
  explicit TextIterator(TextReader& reader) : reader_(&reader) {}

  char operator*() const { return reader_->peek(); }
  TextIterator& operator++() {
    reader_->advance();
    return *this;
  }
  TextIterator operator++(int) {
    TextIterator before = *this;
    ++*this;
    return before;
  }
  friend bool operator==(const TextIterator& a, const TextIterator& b) {
    return a.is_end() == b.is_end();
  }

 private:
  bool is_end() const { return reader_ == nullptr || !reader_->has_next(); }

  TextReader* reader_ = nullptr;
};

}  // namespace nodepilot
