// Builds of a JSON document only what is wanted of it, while it is parsed.
// For this room only. Thread: any, one at a time.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nodepilot {

// What is wanted of a value. Members that are not named are passed over, whatever they are.
struct Shape {
  enum class Kind { kScalar, kObject, kMap, kArray };
  struct Member;

  Kind kind = Kind::kScalar;
  std::span<const Member> members{};  // of an object
  const Shape* items = nullptr;       // of an array; a map has scalars
};
struct Shape::Member {
  std::string_view name;
  const Shape* shape;
};

struct ShapeLimits {
  std::size_t max_depth;  // of arrays and objects within each other, wanted or not
  std::size_t max_kept;   // values of one item
};

// The events of nlohmann's parser. Each object of the shape `item` is handed on as soon as it is
// complete and then forgotten; what is left is root(). null stands for what is absent.
class ShapedBuilder : public nlohmann::json_sax<nlohmann::json> {
 public:
  using Json = nlohmann::json;
  // Hears each item, or nothing in place of one that holds more than max_kept values. The answer
  // says why to stop; empty: go on.
  using OnItem = std::function<std::string(const std::optional<Json>&)>;

  ShapedBuilder(const Shape& root, const Shape& item, ShapeLimits limits, OnItem on_item)
      : root_shape_(root), item_shape_(item), limits_(limits), on_item_(std::move(on_item)) {}

  bool null() override { return true; }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }  // not JSON
  bool start_object(std::size_t) override;
  bool key(string_t& name) override;
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override;
  bool end_array() override { return close(); }
  bool parse_error(std::size_t position, const std::string&, const Json::exception&) override;

  const Json& root() const { return root_; }
  // Why it stopped.
  const std::string& why() const { return why_; }

 private:
  struct Open {
    Json* value;
    const Shape* shape;
  };

  // What is wanted of the value that comes now; null: nothing.
  const Shape* wanted() const;
  bool add(Json value);
  bool open(Json value, const Shape* shape);
  bool close();
  bool close_item();
  Json* place(Json value);
  bool stop(std::string why);

  const Shape& root_shape_;
  const Shape& item_shape_;
  const ShapeLimits limits_;
  const OnItem on_item_;

  Json root_;
  std::vector<Open> open_;         // wanted ones, from the root to the innermost
  const Shape* member_ = nullptr;  // of the member whose value comes now
  Json* place_ = nullptr;          // of that value
  std::size_t depth_ = 0;
  std::size_t passed_over_ = 0;  // levels of what is not wanted
  std::size_t kept_ = 0;         // values of this item
  std::string why_;
};

}  // namespace nodepilot
