#include "sds/rpc/admission.h"

#include <doctest/doctest.h>

#include <optional>
#include <vector>

namespace nodepilot {
namespace {

constexpr uid_t kAda = 1001;
constexpr uid_t kBob = 1002;
constexpr uid_t kEve = 1003;

Limits small() {
  Limits limits;
  limits.connections = 3;
  limits.connections_per_uid = 2;
  limits.buffered_bytes = 1000;
  return limits;
}

TEST_CASE("one uid cannot take more connections than its share") {
  Admission admission(small());
  auto first = admission.admit(kAda);
  auto second = admission.admit(kAda);

  auto third = admission.admit(kAda);

  REQUIRE_FALSE(third);
  CHECK(third.error().code == Code::kResourceExhausted);
  CHECK(third.error().message == "uid 1001 uses all of its 2 connections");
  CHECK(admission.admit(kBob));
}

TEST_CASE("all uids together cannot take more connections than there are") {
  Admission admission(small());
  auto first = admission.admit(kAda);
  auto second = admission.admit(kAda);
  auto third = admission.admit(kBob);

  auto fourth = admission.admit(kEve);

  REQUIRE_FALSE(fourth);
  CHECK(fourth.error().message == "all 3 connections are in use");
  CHECK(admission.connections() == 3);
}

TEST_CASE("a ticket that is gone leaves its place to the next") {
  Admission admission(small());
  {
    auto first = admission.admit(kAda);
    auto second = admission.admit(kAda);
    Admission::Ticket moved = std::move(*first);
    CHECK(admission.connections() == 2);
  }

  CHECK(admission.connections() == 0);
  CHECK(admission.admit(kAda));
}

TEST_CASE("a refused admission takes nothing") {
  Admission admission(small());
  auto first = admission.admit(kAda);
  auto second = admission.admit(kAda);

  for (int i = 0; i < 5; ++i) CHECK_FALSE(admission.admit(kAda));

  CHECK(admission.connections() == 2);
}

TEST_CASE("a uid over a quarter of the buffers is refused; the others are not") {
  Admission admission(small());
  auto greedy = admission.admit(kAda);
  auto honest = admission.admit(kBob);

  greedy->hold(250);

  CHECK(greedy->over_budget());
  CHECK_FALSE(honest->over_budget());
}

TEST_CASE("when all buffers are used, everybody is refused until it sinks") {
  Limits limits = small();
  limits.connections = 10;
  Admission admission(limits);
  std::vector<Admission::Ticket> tickets;
  for (uid_t uid = 1; uid <= 5; ++uid) tickets.push_back(*admission.admit(uid));
  auto bystander = admission.admit(kBob);

  for (auto& ticket : tickets) ticket.hold(200);
  CHECK(admission.buffered_bytes() == 1000);
  CHECK(bystander->over_budget());

  tickets[0].hold(10);
  CHECK_FALSE(bystander->over_budget());
}

TEST_CASE("a released ticket gives back what it held") {
  Admission admission(small());
  auto ticket = admission.admit(kAda);
  ticket->hold(300);

  ticket->release();

  CHECK(admission.buffered_bytes() == 0);
  CHECK(admission.connections() == 0);
}

}  // namespace
}  // namespace nodepilot
