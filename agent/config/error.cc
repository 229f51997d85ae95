#include "agent/config/error.h"

#include <fmt/format.h>

#include <algorithm>

namespace nodepilot {
namespace {

constexpr std::size_t kMaxErrors = 100;

}  // namespace

std::string ConfigError::str() const {
  if (line == 0) return file + ": " + message;
  return fmt::format("{}:{}:{}: {}", file, line, column, message);
}

ConfigErrors to_errors(Mistakes mistakes, const std::string& file) {
  std::stable_sort(mistakes.begin(), mistakes.end(), [](const Mistake& a, const Mistake& b) {
    return std::pair(a.place.line, a.place.column) < std::pair(b.place.line, b.place.column);
  });
  ConfigErrors errors;
  for (Mistake& mistake : mistakes) {
    if (errors.size() == kMaxErrors) {
      errors.push_back(
          {.file = file, .message = fmt::format("and {} more", mistakes.size() - kMaxErrors)});
      break;
    }
    errors.push_back({file, mistake.place.line, mistake.place.column, std::move(mistake.message)});
  }
  return errors;
}

}  // namespace nodepilot
