#include "rotation/federation/bundle_freshness.h"

#include <doctest/doctest.h>

#include "test/federation/kit.h"

namespace nodepilot {
namespace {

// The same keys under another sequence.
BundleDocument numbered(BundleDocument document, std::optional<std::uint64_t> sequence) {
  document.sequence = sequence;
  return document;
}

TEST_CASE("sequences decide which bundle is the newer") {
  BundleDocument a = make_document("b.org", 5);
  BundleDocument b = make_document("b.org", 5);

  CHECK(compare(numbered(b, 4), a) == Freshness::kOlder);
  CHECK(compare(numbered(a, 4), a) == Freshness::kOlder);
  CHECK(compare(numbered(b, 6), a) == Freshness::kNewer);
  CHECK(compare(numbered(a, 6), a) == Freshness::kNewer);
  CHECK(compare(a, a) == Freshness::kUnchanged);
  CHECK(compare(b, a) == Freshness::kSameSequence);
  CHECK(compare(numbered(a, std::uint64_t{1} << 63), numbered(b, (std::uint64_t{1} << 63) - 1)) ==
        Freshness::kNewer);
}

TEST_CASE("without a sequence the bundle fetched last wins") {
  BundleDocument a = make_document("b.org");
  BundleDocument b = make_document("b.org");

  CHECK(compare(b, a) == Freshness::kNewer);
  CHECK(compare(a, a) == Freshness::kUnchanged);
  CHECK(compare(b, numbered(a, 5)) == Freshness::kNewer);
  CHECK(compare(numbered(b, 5), a) == Freshness::kNewer);
  CHECK(compare(a, numbered(a, 5)) == Freshness::kNewer);
}

}  // namespace
}  // namespace nodepilot
