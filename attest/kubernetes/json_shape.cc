#include "attest/kubernetes/json_shape.h"

#include <fmt/format.h>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

constexpr Shape kAnyScalar{};

const Shape* member_of(const Shape& shape, std::string_view name) {
  if (shape.kind == Shape::Kind::kMap) return &kAnyScalar;
  for (const Shape::Member& member : shape.members) {
    if (member.name == name) return member.shape;
  }
  return nullptr;
}

}  // namespace

bool ShapedBuilder::stop(std::string why) {
  why_ = std::move(why);
  return false;
}

bool ShapedBuilder::parse_error(std::size_t position, const std::string&, const Json::exception&) {
  return stop(fmt::format("malformed at byte {}", position));
}

const Shape* ShapedBuilder::wanted() const {
  if (passed_over_ > 0) return nullptr;
  if (open_.empty()) return &root_shape_;
  const Shape* shape = open_.back().shape;
  return shape->kind == Shape::Kind::kArray ? shape->items : member_;
}

bool ShapedBuilder::key(string_t& name) {
  if (passed_over_ > 0) return true;
  Open& object = open_.back();
  member_ = kept_ < limits_.max_kept ? member_of(*object.shape, name) : nullptr;
  if (member_ == nullptr) return true;
  auto [member, is_new] = object.value->emplace(std::move(name), nullptr);
  if (!is_new) return stop("member " + quote(member.key().substr(0, 80)) + " is given twice");
  place_ = &*member;
  return true;
}

ShapedBuilder::Json* ShapedBuilder::place(Json value) {
  ++kept_;
  if (open_.empty()) {
    root_ = std::move(value);
    return &root_;
  }
  Json& parent = *open_.back().value;
  if (parent.is_array()) {
    parent.push_back(std::move(value));
    return &parent.back();
  }
  *place_ = std::move(value);
  return place_;
}

bool ShapedBuilder::add(Json value) {
  const Shape* shape = wanted();
  if (shape == nullptr) return true;
  if (shape->kind != Shape::Kind::kScalar) return stop("a plain value stands where none may");
  if (kept_ < limits_.max_kept) place(std::move(value));
  return true;
}

bool ShapedBuilder::start_object(std::size_t) {
  const Shape* shape = wanted();
  if (shape != nullptr && shape->kind != Shape::Kind::kObject && shape->kind != Shape::Kind::kMap) {
    return stop("an object stands where none may");
  }
  if (shape == &item_shape_) kept_ = 0;
  return open(Json::object(), shape);
}

bool ShapedBuilder::start_array(std::size_t) {
  const Shape* shape = wanted();
  if (shape != nullptr && shape->kind != Shape::Kind::kArray) {
    return stop("an array stands where none may");
  }
  return open(Json::array(), shape);
}

bool ShapedBuilder::open(Json value, const Shape* shape) {
  if (depth_ == limits_.max_depth) {
    return stop(fmt::format("nested deeper than {} levels", limits_.max_depth));
  }
  ++depth_;
  if (shape == nullptr || kept_ >= limits_.max_kept) {
    ++passed_over_;
  } else {
    Json* placed = place(std::move(value));
    open_.push_back({placed, shape});
  }
  return true;
}

bool ShapedBuilder::close() {
  --depth_;
  if (passed_over_ > 0) {
    --passed_over_;
    return true;
  }
  if (open_.back().shape == &item_shape_) return close_item();
  open_.pop_back();
  return true;
}

bool ShapedBuilder::close_item() {
  std::optional<Json> item;
  if (kept_ < limits_.max_kept) item = std::move(*open_.back().value);
  kept_ = 0;
  open_.pop_back();
  open_.back().value->erase(open_.back().value->size() - 1);
  std::string why = on_item_(item);
  return why.empty() || stop(std::move(why));
}

}  // namespace nodepilot
