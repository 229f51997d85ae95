// Text for people at a terminal.
// Thread: any.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/time.h"

namespace nodepilot {

// Text that a peer made up, fit for a terminal: control characters, which could move the cursor
// or hide a line, become '?'.
std::string printable(std::string_view text);

// "7c1e…90ab"; what is short already stays, nothing becomes "-".
std::string short_serial(std::string_view serial);

// Columns two spaces apart, each as wide as its widest cell; the last one is not padded.
// A row may have fewer cells than the first.
std::string render_table(const std::vector<std::vector<std::string>>& rows);

// "1 stream", "2 streams".
std::string counted(std::uint64_t number, const std::string& noun);

}  // namespace nodepilot
