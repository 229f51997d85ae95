#include "agent/cli_text.h"

#include <algorithm>

namespace nodepilot {
namespace {

// Columns that UTF-8 text takes on a terminal, for text without wide or combining characters.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

}  // namespace

std::string printable(std::string_view text) {
  std::string clean;
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto c = static_cast<unsigned char>(text[i]);
    // U+0080 to U+009F are control characters too: 0xc2 and a byte below 0xa0 in UTF-8.
    bool second_control =
        c == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (second_control) ++i;
    clean += c < 0x20 || c == 0x7f || second_control ? '?' : static_cast<char>(c);
  }
  return clean;
}

std::string short_serial(std::string_view serial) {
  if (serial.empty()) return "-";
  if (serial.size() <= 9) return printable(serial);
  return printable(serial.substr(0, 4)) + "…" + printable(serial.substr(serial.size() - 4));
}

std::string render_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      text += row[i];
      if (i + 1 < row.size()) text += std::string(widths[i] - width(row[i]) + 2, ' ');
    }
    text += '\n';
  }
  return text;
}

std::string counted(std::uint64_t number, const std::string& noun) {
  return std::to_string(number) + " " + noun + (number == 1 ? "" : "s");
}

}  // namespace nodepilot
