#include "rotation/https/retry_after.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace nodepilot {
namespace {

constexpr Duration kLongest = std::chrono::hours(24);
constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Empty unless all of it is digits and fits.
std::optional<int> number(std::string_view text) {
  int value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  bool whole = !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
  if (!whole || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "Sun, 06 Nov 1994 08:49:37 GMT": every part stands at its place.
std::optional<Time> parse_date(std::string_view text) {
  constexpr std::string_view kShape = "aaa, 00 aaa 0000 00:00:00 GMT";
  auto fits = [](char c, char shape) { return shape == 'a' || shape == '0' || c == shape; };
  if (!std::equal(text.begin(), text.end(), kShape.begin(), kShape.end(), fits)) {
    return std::nullopt;
  }
  const auto* month = std::find(kMonths.begin(), kMonths.end(), text.substr(8, 3));
  auto day = number(text.substr(5, 2));
  auto year = number(text.substr(12, 4));
  auto hour = number(text.substr(17, 2));
  auto minute = number(text.substr(20, 2));
  auto second = number(text.substr(23, 2));
  bool has_all = month != kMonths.end() && day && year && hour && minute && second;
  if (!has_all || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  std::chrono::year_month_day date{
      std::chrono::year{*year},
      std::chrono::month{static_cast<unsigned>(month - kMonths.begin()) + 1},
      std::chrono::day{static_cast<unsigned>(*day)}};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days{date} + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         std::chrono::seconds(*second);
}

}  // namespace

std::optional<Duration> parse_retry_after(std::string_view text, Time now) {
  std::optional<Duration> wait;
  if (!text.empty() && std::all_of(text.begin(), text.end(), is_digit)) {
    auto seconds = number(text);
    wait = seconds ? std::chrono::seconds(*seconds) : kLongest;  // none: more than a number holds
  } else if (auto date = parse_date(text)) {
    wait = *date - now;
  }
  if (!wait) return std::nullopt;
  return std::clamp(*wait, Duration(0), kLongest);
}

}  // namespace nodepilot
