#include "rotation/issue_queue.h"

#include <doctest/doctest.h>

#include <vector>

namespace nodepilot {
namespace {

constexpr Urgency kMissing{Need::kMissing};
constexpr Urgency kPrefetch{Need::kPrefetch};

constexpr Urgency ends_in(int minutes) {
  return {Need::kHeld, Time{std::chrono::minutes(minutes)}};
}

std::vector<std::string> drain(IssueQueue& queue) {
  std::vector<std::string> order;
  while (auto id = queue.pop()) order.push_back(*id);
  return order;
}

TEST_CASE("the queue gives the missing, then what ends soonest, then what nobody asks for") {
  IssueQueue queue;
  queue.push("later", ends_in(20));
  queue.push("prefetch", kPrefetch);
  queue.push("soon", ends_in(10));
  queue.push("missing 1", kMissing);
  queue.push("soon too", ends_in(10));
  queue.push("missing 2", kMissing);

  CHECK(drain(queue) == std::vector<std::string>{"missing 1", "missing 2", "soon", "soon too",
                                                 "later", "prefetch"});
}

TEST_CASE("an entry is queued once and only ever moves up") {
  IssueQueue queue;
  queue.push("a", ends_in(20));
  queue.push("b", ends_in(20));
  queue.push("c", ends_in(10));

  queue.push("b", kMissing);
  queue.push("c", ends_in(30));
  queue.push("a", ends_in(20));

  CHECK(drain(queue) == std::vector<std::string>{"b", "c", "a"});
}

TEST_CASE("a removed entry is not given") {
  IssueQueue queue;
  queue.push("a", kMissing);
  queue.push("b", kMissing);

  queue.remove("a");
  queue.remove("never pushed");

  CHECK_FALSE(queue.contains("a"));
  CHECK(queue.contains("b"));
  CHECK(drain(queue) == std::vector<std::string>{"b"});
  CHECK(queue.empty());
}

}  // namespace
}  // namespace nodepilot
