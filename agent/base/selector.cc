#include "agent/base/selector.h"

#include <algorithm>

#include "agent/base/log.h"

namespace nodepilot {

expected<Selector> Selector::parse(std::string_view text) {
  auto refuse = [&](const char* why) {
    return fail(Code::kInvalidArgument, "selector " + quote(text.substr(0, 80)) + ": " + why);
  };
  std::size_t colon = text.find(':');
  if (colon == 0 || colon == std::string_view::npos || colon + 1 == text.size()) {
    return refuse("must be TYPE:VALUE, such as unix:uid:1000");
  }
  auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  if (std::any_of(text.begin(), text.end(), is_control)) {
    return refuse("must not hold control characters");
  }
  return Selector{std::string(text.substr(0, colon)), std::string(text.substr(colon + 1))};
}

bool matches(const Selectors& wanted, const Selectors& found) {
  return !wanted.empty() && std::includes(found.begin(), found.end(), wanted.begin(), wanted.end());
}

}  // namespace nodepilot
