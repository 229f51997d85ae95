#include "sds/rpc/incident_log.h"

#include <doctest/doctest.h>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;

TEST_CASE("a flood of incidents is counted, not written") {
  log::configure(log::Level::kOff, log::Format::kLogfmt, false);
  IncidentLog incidents("public");
  TokenBucket::Instant start{1h};

  for (int i = 0; i < 60; ++i) incidents.write("connection closed", 12, 1000, "too many", start);
  CHECK(incidents.suppressed() == 10);
  CHECK(incidents.counts() == Incidents{{"connection closed", 60}});

  incidents.write("connection closed", 12, 1000, "too many", start + 1s);
  CHECK(incidents.suppressed() == 0);
}

}  // namespace
}  // namespace nodepilot
