// How long something took, each time that it was done: what a histogram is drawn from.
// Thread: one.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>

namespace nodepilot {

struct DurationCounts {
  static constexpr std::array<std::chrono::microseconds, 8> kBounds = {
      std::chrono::microseconds(100),  std::chrono::milliseconds(1),
      std::chrono::milliseconds(5),    std::chrono::milliseconds(25),
      std::chrono::milliseconds(100),  std::chrono::milliseconds(500),
      std::chrono::milliseconds(2500), std::chrono::seconds(10)};

  // counts[i]: longer than kBounds[i - 1] and not longer than kBounds[i]; the last has no bound.
  std::array<std::uint64_t, kBounds.size() + 1> counts{};
  std::chrono::microseconds sum{0};

  void add(std::chrono::microseconds took) {
    ++counts[std::lower_bound(kBounds.begin(), kBounds.end(), took) - kBounds.begin()];
    sum += took;
  }
  DurationCounts& operator+=(const DurationCounts& other) {
    for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
    sum += other.sum;
    return *this;
  }
};

}  // namespace nodepilot
