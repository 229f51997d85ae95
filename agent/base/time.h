// Wall-clock instants. Certificates live by the wall clock, so everything about their life does;
// milliseconds in 64 bits hold every notAfter that X.509 can write, year 9999 included.
// Thread: any.
#pragma once

#include <chrono>
#include <string>

namespace nodepilot {

using Duration = std::chrono::milliseconds;
using Time = std::chrono::sys_time<Duration>;

// RFC 3339, in UTC, whole seconds: "2026-11-22T04:30:00Z".
std::string to_rfc3339(Time time);

// For people: "41m", "9m12s", "3d4h", "850ms"; the two largest units, a minus sign if it is past.
std::string to_text(Duration duration);

}  // namespace nodepilot
