#include "rotation/measured_ca.h"

#include <doctest/doctest.h>

#include <numeric>

#include "test/rotation/rig.h"

namespace nodepilot {
namespace {

using Request = CaAnswer::Request;

std::uint64_t count(const CaAnswers& answers, CaAnswer answer) {
  auto found = answers.find(answer);
  if (found == answers.end()) return 0;
  const auto& counts = found->second.counts;
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

TEST_CASE("each answer of a CA is counted by what was asked and what came of it") {
  Rig rig;
  MeasuredCa measured(rig.ca);

  CHECK(measured.bundle());
  rig.ca.fail_with(Code::kUnavailable);
  CHECK_FALSE(measured.bundle());
  CHECK_FALSE(measured.bundle());

  CHECK(measured.name() == std::string("fake"));
  CHECK(count(measured.answers(), {Request::kBundle, Code::kOk}) == 1);
  CHECK(count(measured.answers(), {Request::kBundle, Code::kUnavailable}) == 2);
  CHECK(measured.answers().size() == 2);
}

TEST_CASE("a rotator tells of every answer of its CA, and why it tried to issue") {
  Rig rig;
  auto watcher = rig.watch(0);
  rig.rotate(0);
  rig.ca.refuse("spiffe://td/0");
  rig.rotate(0);

  CaAnswers answers = rig.rotator.ca_answers();
  CHECK(count(answers, {Request::kSign, Code::kOk}) == 2);
  CHECK(count(answers, {Request::kBundle, Code::kOk}) == rig.ca.bundle_calls());
  const RotationCounts& counts = rig.rotator.counts();
  CHECK(counts.first.succeeded == 1);
  CHECK(counts.forced.succeeded == 1);
  CHECK(counts.forced.failed == 1);
  CHECK(counts.renewal.succeeded + counts.renewal.failed == 0);
}

}  // namespace
}  // namespace nodepilot
