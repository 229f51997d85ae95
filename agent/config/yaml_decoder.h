// Strict reading of a YamlNode tree into typed values. A reader goes on after a mistake, so that
// one pass finds them all.
// Thread: any.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "agent/config/yaml_tree.h"

namespace nodepilot {

// Whether a scalar may, must or must not stand in quotes.
enum class Quotes { kEither, kNever, kAlways };

// One value, with the name that errors give it ("listen.mode").
class YamlValue {
 public:
  YamlValue(const YamlNode& node, std::string name, Mistakes& mistakes)
      : node_(node), name_(std::move(name)), mistakes_(mistakes) {}

  // Sets `target` to what parse(text) yields, an expected<T>; else notes why not.
  template <class T, class Parse>
  void read(T& target, Parse parse, Quotes quotes = Quotes::kEither) const {
    if (!is_scalar(quotes)) return;
    auto value = parse(std::string_view(node_.text));
    if (value) {
      target = *std::move(value);
    } else {
      refuse(value.error().message);
    }
  }

  // The elements, named "match[0]", ...; none, and a mistake noted, if it is no list.
  std::vector<YamlValue> items() const;

  // Notes "NAME: message" at this value's place.
  void refuse(const std::string& message) const;

  const YamlNode& node() const { return node_; }
  const std::string& name() const { return name_; }
  Mistakes& mistakes() const { return mistakes_; }

 private:
  bool is_scalar(Quotes quotes) const;

  const YamlNode& node_;
  const std::string name_;
  Mistakes& mistakes_;
};

// A mapping whose keys are asked for by name. On destruction it notes every key that nobody asked
// for, so a reader must ask for all keys that are allowed.
class YamlMapping {
 public:
  // Nothing is an empty mapping; anything else but a mapping is noted as a mistake.
  explicit YamlMapping(const YamlValue& value);
  YamlMapping(const YamlMapping&) = delete;
  YamlMapping& operator=(const YamlMapping&) = delete;
  ~YamlMapping();

  // The value of `key`, if it is there.
  std::optional<YamlValue> find(std::string_view key);
  // The same; its absence is a mistake.
  std::optional<YamlValue> require(std::string_view key);
  // Notes a mistake about the value of `key`, or about the mapping if it has none.
  void refuse(std::string_view key, const std::string& message);
  // The mapping at `key`, empty if there is none.
  YamlMapping mapping(std::string_view key);

  template <class T, class Parse>
  void read(std::string_view key, T& target, Parse parse, Quotes quotes = Quotes::kEither) {
    if (auto value = find(key)) value->read(target, parse, quotes);
  }

 private:
  std::string name_of(std::string_view key) const;

  const YamlValue value_;
  std::vector<std::string> known_;
};

}  // namespace nodepilot
