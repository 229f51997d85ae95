#include "agent/base/time.h"

#include <fmt/format.h>

#include <array>

namespace nodepilot {

std::string to_rfc3339(Time time) {
  auto day = std::chrono::floor<std::chrono::days>(time);
  std::chrono::year_month_day date{day};
  std::chrono::hh_mm_ss clock{std::chrono::floor<std::chrono::seconds>(time - day)};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

std::string to_text(Duration duration) {
  struct Unit {
    std::int64_t milliseconds;
    const char* name;
  };
  static constexpr std::array kUnits = {Unit{86'400'000, "d"}, Unit{3'600'000, "h"},
                                        Unit{60'000, "m"}, Unit{1000, "s"}, Unit{1, "ms"}};
  std::int64_t rest = duration.count();
  if (rest == 0) return "0s";
  std::string text = rest < 0 ? "-" : "";
  rest = rest < 0 ? -rest : rest;
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
