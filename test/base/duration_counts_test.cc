#include "agent/base/duration_counts.h"

#include <doctest/doctest.h>

#include <numeric>

namespace nodepilot {
namespace {

using namespace std::chrono_literals;

TEST_CASE("a duration counts below the first bound that is not shorter") {
  DurationCounts counts;

  counts.add(0us);
  counts.add(100us);
  counts.add(101us);
  counts.add(10s);
  counts.add(1h);

  CHECK(counts.counts == decltype(counts.counts){2, 1, 0, 0, 0, 0, 0, 1, 1});
  CHECK(counts.sum == 1h + 10s + 201us);
}

TEST_CASE("counts are added bound by bound") {
  DurationCounts counts;
  counts.add(1ms);
  DurationCounts others;
  others.add(2ms);
  others.add(1ms);

  counts += others;

  CHECK(counts.counts == decltype(counts.counts){0, 2, 1, 0, 0, 0, 0, 0, 0});
  CHECK(counts.sum == 4ms);
}

}  // namespace
}  // namespace nodepilot
