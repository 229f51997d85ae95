#include "rotation/federation/bundle_sequence.h"

#include <doctest/doctest.h>

#include "test/federation/kit.h"
#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;
using test::noon;

std::uint64_t seconds(Time time) {
  return static_cast<std::uint64_t>(
      std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count());
}

struct Rig {
  std::uint64_t number(const BundleDocument& document, Time now) {
    auto numbered = BundleSequence(directory / "state").number(document.bundle, now);
    CHECK_FALSE(numbered.not_stored);
    return numbered.sequence;
  }
  TemporaryDirectory directory;
  BundleDocument a = make_document("td");
  BundleDocument b = make_document("td");
};

TEST_CASE("a sequence stays with its content and grows with every change") {
  Rig rig;

  CHECK(rig.number(rig.a, noon()) == seconds(noon()));
  CHECK(rig.number(rig.a, noon() + 1h) == seconds(noon()));
  CHECK(rig.number(rig.b, noon() + 1h) == seconds(noon() + 1h));
  CHECK(rig.number(rig.a, noon() + 1h) == seconds(noon() + 1h) + 1);
}

TEST_CASE("a sequence grows though the clock was set back") {
  Rig rig;
  rig.number(rig.a, noon());

  CHECK(rig.number(rig.b, noon() - 24h) == seconds(noon()) + 1);
}

TEST_CASE("a sequence grows though what was stored is lost") {
  Rig rig;
  std::uint64_t before = rig.number(rig.a, noon());

  for (const char* text : {"", "{}", "junk", R"({"sequence":"1","sha256":""})", "[1]"}) {
    CAPTURE(text);
    rig.directory.write("state/bundle-sequence.json", text);
    CHECK(rig.number(rig.b, noon() + 1s) > before);
  }
}

TEST_CASE("a sequence that cannot be stored is given and told") {
  TemporaryDirectory directory;
  directory.write("state", "a file in the way");

  auto numbered = BundleSequence(directory / "state").number(make_document("td").bundle, noon());

  CHECK(numbered.sequence == seconds(noon()));
  REQUIRE(numbered.not_stored);
  CHECK(has(numbered.not_stored->message, "not a directory"));
}

}  // namespace
}  // namespace nodepilot
