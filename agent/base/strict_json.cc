#include "agent/base/strict_json.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kQuotedBytes = 80;

// Builds the value from the parser's events. The parser keeps no stack of calls, so that depth
// costs nothing before it is refused here.
class Builder : public nlohmann::json_sax<Json> {
 public:
  explicit Builder(std::size_t max_depth) : max_depth_(max_depth) {}

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }  // not JSON

  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    auto [member, is_new] = open_.back()->emplace(name, nullptr);
    member_ = &*member;
    if (!is_new) why_ = "member " + quote(name.substr(0, kQuotedBytes)) + " is given twice";
    return is_new;
  }

  bool parse_error(std::size_t position, const std::string&, const Json::exception&) override {
    why_ = fmt::format("malformed at byte {}", position);
    return false;
  }

  const std::string& why() const { return why_; }
  Json take() { return std::move(root_); }

 private:
  Json* place(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (open_.back()->is_array()) {
      open_.back()->push_back(std::move(value));
      return &open_.back()->back();
    }
    *member_ = std::move(value);
    return member_;
  }
  bool add(Json value) {
    place(std::move(value));
    return true;
  }
  bool open(Json value) {
    if (open_.size() == max_depth_) {
      why_ = fmt::format("nested deeper than {} levels", max_depth_);
      return false;
    }
    open_.push_back(place(std::move(value)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  const std::size_t max_depth_;
  Json root_;
  std::vector<Json*> open_;  // from the root to the innermost; an open one does not move
  Json* member_ = nullptr;   // of the innermost object: its latest
  std::string why_;
};

}  // namespace

expected<Json> parse_strict_json(std::string_view text, JsonLimits limits) {
  if (text.size() > limits.max_bytes) {
    return fail(Code::kInvalidArgument, fmt::format("JSON: {} bytes, at most {} are allowed",
                                                    text.size(), limits.max_bytes));
  }
  // The parser takes a NUL for the end of the text and would not see what follows.
  if (auto nul = text.find('\0'); nul != std::string_view::npos) {
    return fail(Code::kInvalidArgument, fmt::format("JSON: malformed at byte {}", nul + 1));
  }
  Builder builder(limits.max_depth);
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) {
    return fail(Code::kInvalidArgument, "JSON: " + builder.why());
  }
  return builder.take();
}

}  // namespace nodepilot
