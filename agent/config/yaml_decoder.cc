#include "agent/config/yaml_decoder.h"

#include <algorithm>
#include <map>

#include "agent/base/log.h"
#include "agent/config/text.h"

namespace nodepilot {
namespace {

const YamlNode kNothing;

}  // namespace

void YamlValue::refuse(const std::string& message) const {
  mistakes_.push_back({node_.place, name_.empty() ? message : name_ + ": " + message});
}

bool YamlValue::is_scalar(Quotes quotes) const {
  if (node_.kind == YamlNode::Kind::kRefused) return false;
  if (node_.kind != YamlNode::Kind::kScalar) {
    refuse("must be a single value, got " + describe(node_));
    return false;
  }
  if (quotes == Quotes::kNever && node_.quoted) {
    refuse("must be a number without quotes, got the text " + describe(node_));
    return false;
  }
  if (quotes == Quotes::kAlways && !node_.quoted) {
    refuse(
        "must stand in quotes, such as \"0660\" (YAML reads a bare 0660 as the number 432), got " +
        node_.text.substr(0, 80));
    return false;
  }
  return true;
}

std::vector<YamlValue> YamlValue::items() const {
  std::vector<YamlValue> values;
  if (node_.kind != YamlNode::Kind::kList) {
    if (node_.kind != YamlNode::Kind::kRefused) refuse("must be a list, got " + describe(node_));
    return values;
  }
  for (const YamlNode& item : node_.items) {
    values.emplace_back(item, name_ + "[" + std::to_string(values.size()) + "]", mistakes_);
  }
  return values;
}

YamlMapping::YamlMapping(const YamlValue& value) : value_(value) {
  const YamlNode& node = value_.node();
  if (node.kind != YamlNode::Kind::kMapping && node.kind != YamlNode::Kind::kNull &&
      node.kind != YamlNode::Kind::kRefused) {
    value_.refuse("must be a mapping (name: value), got " + describe(node));
  }
}

YamlMapping::~YamlMapping() {
  std::map<std::string_view, int> first_line;
  for (const auto& [key, value] : value_.node().members) {
    if (key.kind == YamlNode::Kind::kRefused) continue;
    YamlValue named(key, value_.name(), value_.mistakes());
    if (key.kind != YamlNode::Kind::kScalar) {
      named.refuse("a key must be a single word, got " + describe(key));
      continue;
    }
    if (std::count(known_.begin(), known_.end(), key.text) == 0) {
      named.refuse("unknown key " + quote(key.text.substr(0, 80)) + suggestion(key.text, known_));
      continue;
    }
    auto [first, is_new] = first_line.emplace(key.text, key.place.line);
    if (!is_new) {
      named.refuse("key " + quote(key.text) + " is given twice, first in line " +
                   std::to_string(first->second));
    }
  }
}

std::optional<YamlValue> YamlMapping::find(std::string_view key) {
  known_.emplace_back(key);
  for (const auto& [name, value] : value_.node().members) {
    if (name.kind == YamlNode::Kind::kScalar && name.text == key) {
      return YamlValue(value, name_of(key), value_.mistakes());
    }
  }
  return std::nullopt;
}

std::optional<YamlValue> YamlMapping::require(std::string_view key) {
  auto value = find(key);
  auto kind = value_.node().kind;
  bool looked_at = kind == YamlNode::Kind::kMapping || kind == YamlNode::Kind::kNull;
  if (!value && looked_at) value_.refuse("key " + quote(key) + " is missing");
  return value;
}

void YamlMapping::refuse(std::string_view key, const std::string& message) {
  auto value = find(key);
  YamlValue(value ? value->node() : value_.node(), name_of(key), value_.mistakes()).refuse(message);
}

YamlMapping YamlMapping::mapping(std::string_view key) {
  auto value = find(key);
  return YamlMapping(value ? *value : YamlValue(kNothing, name_of(key), value_.mistakes()));
}

std::string YamlMapping::name_of(std::string_view key) const {
  return value_.name().empty() ? std::string(key) : value_.name() + "." + std::string(key);
}

}  // namespace nodepilot
