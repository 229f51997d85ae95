// Values as people write them in the configuration and on the command line: durations, sizes,
// modes. Errors are whole sentences about the value: `must be ..., got "5x"`.
// Thread: any.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "agent/base/time.h"

namespace nodepilot {

// "30s", "250ms", "1h30m", "7d": whole numbers, each with its unit, largest unit first.
expected<Duration> parse_duration(std::string_view text, Duration low, Duration high);

// Decimal digits only, no sign.
expected<std::uint64_t> parse_count(std::string_view text, std::uint64_t low, std::uint64_t high);

// "16KiB", "64MiB", "1GiB", or a plain number of bytes.
expected<std::uint64_t> parse_bytes(std::string_view text, std::uint64_t low, std::uint64_t high);

// "0.5": decimal digits and at most one point, no sign, no exponent.
expected<double> parse_fraction(std::string_view text, double low, double high);

// "true" or "false".
expected<bool> parse_switch(std::string_view text);

// Absolute and spelled the one shortest way, so that two spellings are two places.
expected<std::filesystem::path> parse_path(std::string_view text);

// Octal with a leading zero, "0660"; permission bits only.
expected<mode_t> parse_mode(std::string_view text);

// The spelling that is read back as the same value: "1h30m"; "16KiB".
std::string duration_text(Duration duration);
std::string bytes_text(std::uint64_t bytes);

// ` (did you mean "status"?)` if one of `names` is near enough to `word`, else nothing.
std::string suggestion(std::string_view word, const std::vector<std::string>& names);

}  // namespace nodepilot
