#include "rotation/issue_queue.h"

#include <doctest/doctest.h>

#include <vector>

namespace nodepilot {
namespace {

std::vector<std::string> drain(IssueQueue& queue) {
  std::vector<std::string> order;
  while (auto id = queue.pop()) order.push_back(*id);
  return order;
}

TEST_CASE("the queue gives the missing before the forced before the renewals") {
  IssueQueue queue;
  queue.push("renewal 1", Urgency::kRenewal);
  queue.push("forced", Urgency::kForced);
  queue.push("missing 1", Urgency::kMissing);
  queue.push("renewal 2", Urgency::kRenewal);
  queue.push("missing 2", Urgency::kMissing);

  CHECK(drain(queue) ==
        std::vector<std::string>{"missing 1", "missing 2", "forced", "renewal 1", "renewal 2"});
}

TEST_CASE("an entry is queued once and only ever moves up") {
  IssueQueue queue;
  queue.push("a", Urgency::kRenewal);
  queue.push("b", Urgency::kRenewal);
  queue.push("c", Urgency::kForced);

  queue.push("b", Urgency::kMissing);
  queue.push("c", Urgency::kRenewal);
  queue.push("a", Urgency::kRenewal);

  CHECK(drain(queue) == std::vector<std::string>{"b", "c", "a"});
}

TEST_CASE("a removed entry is not given") {
  IssueQueue queue;
  queue.push("a", Urgency::kRenewal);
  queue.push("b", Urgency::kRenewal);

  queue.remove("a");
  queue.remove("never pushed");

  CHECK_FALSE(queue.contains("a"));
  CHECK(queue.contains("b"));
  CHECK(drain(queue) == std::vector<std::string>{"b"});
}

}  // namespace
}  // namespace nodepilot
