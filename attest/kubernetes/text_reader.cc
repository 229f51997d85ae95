#include "attest/kubernetes/text_reader.h"

#include <fmt/format.h>

namespace nodepilot {
namespace {

bool ends_token(char c) {
  return c == ',' || c == ':' || c == '[' || c == ']' || c == '{' || c == '}' || c == ' ' ||
         c == '\n' || c == '\r' || c == '\t';
}

}  // namespace

bool TextReader::stop(Error error) {
  failure_ = std::move(error);
  piece_ = {};
  at_ = 0;
  return false;
}

bool TextReader::fetch() {
  if (failure_) return false;
  auto piece = text_.read();
  if (!piece) return stop(std::move(piece).error());
  piece_ = *piece;
  at_ = 0;
  bytes_ += piece_.size();
  if (bytes_ > limits_.max_bytes) {
    return stop({Code::kDataLoss, fmt::format("larger than {} bytes", limits_.max_bytes)});
  }
  if (auto checked = check_tokens(); !checked) return stop(std::move(checked).error());
  return !piece_.empty();
}

expected<void> TextReader::check_tokens() {
  for (char c : piece_) {
    // The parser takes it for the end of the text and would not see what follows.
    if (c == '\0') return fail(Code::kDataLoss, "malformed: it holds a NUL");
    ++token_bytes_;
    if (in_string_) {
      bool is_end = c == '"' && !is_escaped_;
      is_escaped_ = c == '\\' && !is_escaped_;
      if (!is_end) continue;
      in_string_ = false;
    } else if (!ends_token(c)) {
      in_string_ = c == '"';
      continue;
    }
    if (token_bytes_ > limits_.max_token_bytes) break;
    token_bytes_ = 0;
  }
  if (token_bytes_ <= limits_.max_token_bytes) return {};
  return fail(Code::kDataLoss, fmt::format("one string or number of it is larger than {} bytes",
                                           limits_.max_token_bytes));
}

}  // namespace nodepilot
