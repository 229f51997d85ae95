#include "agent/config/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

// Larger than every bound that is asked for, and two of it still add up without overflow.
constexpr std::int64_t kHugeDuration = std::int64_t{1} << 50;
constexpr std::size_t kLongestWord = 64;  // for suggestions: the distance costs its square

struct Unit {
  std::string_view name;
  std::int64_t size;
};
constexpr std::array kTimeUnits = {Unit{"d", 86'400'000}, Unit{"h", 3'600'000}, Unit{"m", 60'000},
                                   Unit{"s", 1000}, Unit{"ms", 1}};
constexpr std::array kByteUnits = {Unit{"GiB", std::int64_t{1} << 30},
                                   Unit{"MiB", std::int64_t{1} << 20},
                                   Unit{"KiB", std::int64_t{1} << 10}, Unit{"", 1}};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

tl::unexpected<Error> refuse(const std::string& rule, std::string_view text) {
  return fail(Code::kInvalidArgument, rule + ", got " + quote(text.substr(0, 80)));
}

std::string_view take_while(std::string_view& text, bool (*belongs)(char)) {
  auto end = std::find_if_not(text.begin(), text.end(), belongs);
  std::string_view head = text.substr(0, static_cast<std::size_t>(end - text.begin()));
  text.remove_prefix(head.size());
  return head;
}

// Empty if it is no number or does not fit.
template <class Number>
std::optional<Number> whole_number(std::string_view text, int base = 10) {
  Number number{};
  const char* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data(), end, number, base);
  if (text.empty() || error != std::errc() || stop != end) return std::nullopt;
  return number;
}

// The restricted Damerau-Levenshtein distance: insertions, deletions, changes, swapped neighbours.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      std::size_t change = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, change});
      bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

expected<Duration> parse_duration(std::string_view text, Duration low, Duration high) {
  auto bad = [&] { return refuse("must be a duration such as 1h30m, 30s or 250ms", text); };
  std::string_view rest = text;
  std::int64_t total = 0;
  const Unit* next = kTimeUnits.begin();
  do {
    auto number = whole_number<std::int64_t>(take_while(rest, is_digit));
    std::string_view name = take_while(rest, [](char c) { return !is_digit(c); });
    const Unit* unit =
        std::find_if(next, kTimeUnits.end(), [&](const Unit& u) { return u.name == name; });
    if (!number || unit == kTimeUnits.end()) return bad();
    bool is_huge = *number > kHugeDuration / unit->size;
    total = is_huge ? kHugeDuration : std::min(kHugeDuration, total + *number * unit->size);
    next = unit + 1;
  } while (!rest.empty());
  if (Duration(total) < low || Duration(total) > high) {
    return refuse("must be between " + duration_text(low) + " and " + duration_text(high), text);
  }
  return Duration(total);
}

expected<std::uint64_t> parse_count(std::string_view text, std::uint64_t low, std::uint64_t high) {
  auto number = whole_number<std::uint64_t>(text);
  if (!number || *number < low || *number > high) {
    return refuse(fmt::format("must be a whole number between {} and {}", low, high), text);
  }
  return *number;
}

expected<std::uint64_t> parse_bytes(std::string_view text, std::uint64_t low, std::uint64_t high) {
  std::string_view rest = text;
  auto number = whole_number<std::uint64_t>(take_while(rest, is_digit));
  const Unit* unit = std::find_if(kByteUnits.begin(), kByteUnits.end(),
                                  [&](const Unit& u) { return u.name == rest; });
  if (!number || unit == kByteUnits.end()) {
    return refuse("must be a size such as 16KiB, 64MiB or a plain number of bytes", text);
  }
  auto size = static_cast<std::uint64_t>(unit->size);
  // Compared before it is multiplied: the product may not fit.
  if (*number > high / size || *number * size < low) {
    return refuse("must be between " + bytes_text(low) + " and " + bytes_text(high), text);
  }
  return *number * size;
}

expected<double> parse_fraction(std::string_view text, double low, double high) {
  double number = 0;
  const char* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  bool plain = !text.empty() && is_digit(text.front()) && is_digit(text.back());
  if (!plain || error != std::errc() || stop != end || number < low || number > high) {
    return refuse(fmt::format("must be a number between {} and {}", low, high), text);
  }
  return number;
}

expected<bool> parse_switch(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return fail(Code::kInvalidArgument, "must be true or false, got " + quote(text.substr(0, 200)));
}

expected<std::filesystem::path> parse_path(std::string_view text) {
  std::filesystem::path path(text);
  bool has_nul = text.find('\0') != std::string_view::npos;
  bool is_shortest = path.lexically_normal().native() == text && path.has_filename();
  if (path.is_absolute() && is_shortest && !has_nul) return path;
  return refuse("must be an absolute path without \".\", \"..\", \"//\" or a \"/\" at its end",
                text);
}

expected<mode_t> parse_mode(std::string_view text) {
  auto mode = whole_number<mode_t>(text, 8);
  if (!mode || text.front() != '0' || *mode > 0777) {
    return refuse("must be octal permissions between 0000 and 0777", text);
  }
  return *mode;
}

std::string duration_text(Duration duration) {
  std::string text;
  std::int64_t rest = duration.count();
  for (const Unit& unit : kTimeUnits) {
    if (rest < unit.size) continue;
    text += std::to_string(rest / unit.size) + std::string(unit.name);
    rest %= unit.size;
  }
  return text.empty() ? "0s" : text;
}

std::string bytes_text(std::uint64_t bytes) {
  const Unit* unit = std::find_if(kByteUnits.begin(), kByteUnits.end(), [&](const Unit& u) {
    return bytes != 0 && bytes % static_cast<std::uint64_t>(u.size) == 0;
  });
  if (unit == kByteUnits.end()) return "0";
  return std::to_string(bytes / static_cast<std::uint64_t>(unit->size)) + std::string(unit->name);
}

std::string suggestion(std::string_view word, const std::vector<std::string>& names) {
  if (word.size() > kLongestWord) return "";
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string& name : names) {
    std::size_t d = distance(word, name);
    if (d < best_distance) {
      best = name;
      best_distance = d;
    }
  }
  return best.empty() ? "" : " (did you mean " + quote(best) + "?)";
}

}  // namespace nodepilot
