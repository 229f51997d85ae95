#include "agent/config/limits.h"

#include <array>

#include "agent/config/text.h"

namespace nodepilot {
namespace {

constexpr Duration kShortest = std::chrono::milliseconds(100);
constexpr Duration kLongest = std::chrono::minutes(10);
constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = kKiB * 1024;
constexpr std::uint64_t kGiB = kMiB * 1024;

template <class Field, class Bound>
struct Row {
  const char* name;
  Field Limits::*field;
  Bound low;
  Bound high;
};
using NumberRow = Row<std::size_t, std::uint64_t>;
using TimeRow = Row<std::chrono::milliseconds, Duration>;

constexpr std::array kCounts = {
    NumberRow{"connections", &Limits::connections, 1, 1'000'000},
    NumberRow{"connections_per_uid", &Limits::connections_per_uid, 1, 1'000'000},
    NumberRow{"streams_per_connection", &Limits::streams_per_connection, 1, 100'000},
    NumberRow{"new_streams_per_second", &Limits::new_streams_per_second, 1, 1'000'000},
    NumberRow{"pings_per_second", &Limits::pings_per_second, 1, 100'000},
    NumberRow{"resets_per_second", &Limits::resets_per_second, 1, 1'000'000},
    NumberRow{"settings_per_second", &Limits::settings_per_second, 1, 100'000},
};
// The lower bounds leave room for what honest gRPC clients send.
constexpr std::array kSizes = {
    NumberRow{"header_bytes", &Limits::header_bytes, 4 * kKiB, kMiB},
    NumberRow{"workload_request_bytes", &Limits::workload_request_bytes, kKiB, 16 * kMiB},
    NumberRow{"sds_request_bytes", &Limits::sds_request_bytes, 4 * kKiB, 16 * kMiB},
    NumberRow{"buffered_bytes", &Limits::buffered_bytes, kMiB, 64 * kGiB},
};
constexpr std::array kTimes = {
    TimeRow{"preface_timeout", &Limits::preface_timeout, kShortest, kLongest},
    TimeRow{"half_sent_timeout", &Limits::half_sent_timeout, kShortest, kLongest},
    TimeRow{"write_stall_timeout", &Limits::write_stall_timeout, kShortest, kLongest},
};

}  // namespace

void decode_limits(YamlMapping section, Limits& limits) {
  for (const NumberRow& row : kCounts) {
    auto parse = [&](std::string_view text) { return parse_count(text, row.low, row.high); };
    section.read(row.name, limits.*row.field, parse, Quotes::kNever);
  }
  for (const NumberRow& row : kSizes) {
    auto parse = [&](std::string_view text) { return parse_bytes(text, row.low, row.high); };
    section.read(row.name, limits.*row.field, parse);
  }
  for (const TimeRow& row : kTimes) {
    auto parse = [&](std::string_view text) { return parse_duration(text, row.low, row.high); };
    section.read(row.name, limits.*row.field, parse);
  }
}

}  // namespace nodepilot
