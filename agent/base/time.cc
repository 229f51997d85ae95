#include "agent/base/time.h"

#include <fmt/format.h>

#include <array>

namespace nodepilot {
namespace {

struct Unit {
  std::uint64_t milliseconds;
  const char* name;
};
constexpr std::array kUnits = {Unit{86'400'000, "d"}, Unit{3'600'000, "h"}, Unit{60'000, "m"},
                               Unit{1000, "s"}, Unit{1, "ms"}};

}  // namespace

std::string to_rfc3339(Time time) {
  auto day = std::chrono::floor<std::chrono::days>(time);
  std::chrono::year_month_day date{day};
  std::chrono::hh_mm_ss clock{std::chrono::floor<std::chrono::seconds>(time - day)};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

std::string to_text(Duration duration) {
  if (duration.count() == 0) return "0s";
  std::string text = duration.count() < 0 ? "-" : "";
  // Unsigned, because the shortest duration has no positive counterpart.
  auto rest = static_cast<std::uint64_t>(duration.count());
  if (duration.count() < 0) rest = -rest;
  std::size_t unit = 0;
  while (rest < kUnits.at(unit).milliseconds) ++unit;
  text += fmt::format("{}{}", rest / kUnits.at(unit).milliseconds, kUnits.at(unit).name);
  rest %= kUnits.at(unit).milliseconds;
  // The second unit says nothing to a person once the first one is seconds.
  if (unit < 3 && rest >= kUnits.at(unit + 1).milliseconds) {
    text += fmt::format("{}{}", rest / kUnits.at(unit + 1).milliseconds, kUnits.at(unit + 1).name);
  }
  return text;
}

}  // namespace nodepilot
