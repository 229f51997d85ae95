#include "agent/base/selector.h"

#include <algorithm>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

struct Halves {
  std::string_view type;
  std::string_view rest;
};

expected<Halves> split(std::string_view text, const char* shape) {
  auto refuse = [&](const std::string& why) {
    return fail(Code::kInvalidArgument, "selector " + quote(text.substr(0, 80)) + ": " + why);
  };
  std::size_t colon = text.find(':');
  if (colon == 0 || colon == std::string_view::npos || colon + 1 == text.size()) {
    return refuse(std::string("must be ") + shape);
  }
  auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  if (std::any_of(text.begin(), text.end(), is_control)) {
    return refuse("must not hold control characters");
  }
  return Halves{text.substr(0, colon), text.substr(colon + 1)};
}

}  // namespace

expected<Selector> Selector::parse(std::string_view text) {
  auto [type, value] = TRY(split(text, "TYPE:VALUE, such as unix:uid:1000"));
  return Selector{std::string(type), std::string(value)};
}

expected<SelectorKey> SelectorKey::parse(std::string_view text) {
  auto [type, key] = TRY(split(text, "TYPE:KEY, such as k8s:ns"));
  return SelectorKey{std::string(type), std::string(key)};
}

std::vector<std::string_view> values_of(const Selectors& found, const SelectorKey& key) {
  std::vector<std::string_view> values;
  std::string prefix = key.key + ':';
  for (auto it = found.lower_bound({key.type, prefix});
       it != found.end() && it->type == key.type && it->value.starts_with(prefix); ++it) {
    if (it->value.size() > prefix.size()) {
      values.push_back(std::string_view(it->value).substr(prefix.size()));
    }
  }
  return values;
}

}  // namespace nodepilot
