#include "agent/mesh/policy_set.h"

#include <doctest/doctest.h>

#include "test/mesh/policy_matrix.h"

namespace nodepilot::mesh {
namespace {

using namespace std::chrono_literals;

const Labels kWeb = {{"app", "web"}, {"tier", "front"}};

MtlsMode mode_of(char letter) {
  switch (letter) {
    case 'D':
      return MtlsMode::kDisable;
    case 'P':
      return MtlsMode::kPermissive;
    case 'S':
      return MtlsMode::kStrict;
    default:
      return MtlsMode::kUnset;
  }
}

PeerAuthentication policy(std::string name_space, std::string name, MtlsMode mode,
                          Labels selector = {}) {
  return {.name = std::move(name),
          .name_space = std::move(name_space),
          .selector = std::move(selector),
          .mode = mode,
          .origin = "test"};
}

PeerAuthentication aged(PeerAuthentication policy, int seconds) {
  policy.created = Time(std::chrono::seconds(seconds));
  return policy;
}

std::string winner(std::vector<PeerAuthentication> policies, std::uint16_t port = 8080) {
  PolicySet set("istio-system", std::move(policies));
  Verdict verdict = set.resolve("shop", kWeb, port);
  std::string by = verdict.decided_by == nullptr ? "nobody" : verdict.decided_by->full_name();
  return std::string(to_string(verdict.mode)) + " by " + by + (verdict.by_port ? ", port" : "");
}

TEST_CASE("all 625 combinations of mesh, namespace, workload and port resolve as the table says") {
  const std::string letters = "-UDPS";
  int seen = 0;
  for (const auto& [scopes, modes] : kPolicyMatrix) {
    for (std::size_t i = 0; i < letters.size(); ++i) {
      CAPTURE(scopes);
      CAPTURE(letters[i]);
      std::vector<PeerAuthentication> policies;
      if (scopes[0] != '-') policies.push_back(policy("istio-system", "m", mode_of(scopes[0])));
      if (scopes[1] != '-') policies.push_back(policy("shop", "n", mode_of(scopes[1])));
      // Without a workload's policy the entry for the port stands in one of another workload.
      Labels selector = {{"app", scopes[2] == '-' ? "other" : "web"}};
      PeerAuthentication own = policy("shop", "w", mode_of(scopes[2]), selector);
      if (letters[i] != '-') own.ports[8080] = mode_of(letters[i]);
      policies.push_back(own);
      PolicySet set("istio-system", std::move(policies));

      CHECK(set.resolve("shop", kWeb, 8080).mode == mode_of(modes[i]));
      ++seen;
    }
  }
  CHECK(seen == 625);
}

TEST_CASE("the verdict names the policy that decided") {
  auto mesh = policy("istio-system", "default", MtlsMode::kStrict);
  auto name_space = policy("shop", "default", MtlsMode::kPermissive);
  auto web = policy("shop", "web", MtlsMode::kUnset, {{"app", "web"}});
  web.ports[9090] = MtlsMode::kDisable;

  CHECK(winner({}) == "PERMISSIVE by nobody");
  CHECK(winner({mesh}) == "STRICT by istio-system/default");
  CHECK(winner({mesh, name_space}) == "PERMISSIVE by shop/default");
  CHECK(winner({mesh, name_space, web}) == "PERMISSIVE by shop/default");
  CHECK(winner({mesh, name_space, web}, 9090) == "DISABLE by shop/web, port");
}

TEST_CASE("of several policies in one scope the oldest alone counts, whole") {
  auto old = aged(policy("shop", "z", MtlsMode::kUnset, {{"app", "web"}}), 1);
  auto young = aged(policy("shop", "a", MtlsMode::kStrict, {{"app", "web"}}), 2);
  young.ports[8080] = MtlsMode::kDisable;

  CHECK(winner({young, old}) == "PERMISSIVE by nobody");
  CHECK(winner({young}) == "DISABLE by shop/a, port");
}

TEST_CASE("ties go by name, and a policy without a time is the oldest") {
  auto a = aged(policy("shop", "a", MtlsMode::kStrict), 5);
  auto b = aged(policy("shop", "b", MtlsMode::kDisable), 5);
  auto undated = policy("shop", "c", MtlsMode::kPermissive);

  CHECK(winner({b, a}) == "STRICT by shop/a");
  CHECK(winner({b, a, undated}) == "PERMISSIVE by shop/c");
}

TEST_CASE("a policy reaches its own namespace and who has all of its labels") {
  CHECK(winner({policy("other", "n", MtlsMode::kStrict)}) == "PERMISSIVE by nobody");
  CHECK(winner({policy("other", "w", MtlsMode::kStrict, {{"app", "web"}})}) ==
        "PERMISSIVE by nobody");
  CHECK(winner({policy("shop", "w", MtlsMode::kStrict, {{"app", "web"}, {"tier", "front"}})}) ==
        "STRICT by shop/w");
  CHECK(winner({policy("shop", "w", MtlsMode::kStrict, {{"app", "web"}, {"tier", "back"}})}) ==
        "PERMISSIVE by nobody");
}

TEST_CASE("a selector in the root namespace is ignored, by a workload of that namespace too") {
  PolicySet set("istio-system", {policy("istio-system", "w", MtlsMode::kStrict, {{"app", "web"}})});

  CHECK(set.resolve("shop", kWeb, 1).mode == MtlsMode::kPermissive);
  CHECK(set.resolve("istio-system", kWeb, 1).mode == MtlsMode::kPermissive);
  REQUIRE(set.ignored().size() == 1);
  CHECK(set.ignored()[0].why == "a selector has no meaning in the root namespace");
}

TEST_CASE("a policy is told as ignored if an older one covers it") {
  PolicySet set("istio-system", {aged(policy("shop", "old", MtlsMode::kStrict), 1),
                                 aged(policy("shop", "new", MtlsMode::kDisable), 2),
                                 aged(policy("pay", "new", MtlsMode::kDisable), 2),
                                 aged(policy("shop", "w", MtlsMode::kStrict, {{"app", "web"}}), 3),
                                 aged(policy("shop", "v", MtlsMode::kStrict, kWeb), 4)});

  auto ignored = set.ignored();

  REQUIRE(ignored.size() == 2);
  CHECK(ignored[0].policy->full_name() == "shop/new");
  CHECK(ignored[0].why == "shop/old is older, and covers it");
  CHECK(ignored[1].policy->full_name() == "shop/v");
}

// "mesh STRICT by istio-system/default".
std::string text_of(const Step& step) {
  std::string by = step.policy == nullptr ? "" : " by " + step.policy->full_name();
  return std::string(step.scope) + " " + to_string(step.mode) + by;
}

TEST_CASE("the steps tell what each scope says, and who in it does not count") {
  auto web = aged(policy("shop", "web", MtlsMode::kUnset, {{"app", "web"}}), 1);
  web.ports[9090] = MtlsMode::kDisable;
  PolicySet set("istio-system",
                {policy("istio-system", "m", MtlsMode::kStrict), web,
                 aged(policy("shop", "young", MtlsMode::kStrict, kWeb), 2),
                 aged(policy("shop", "x", MtlsMode::kStrict, {{"tier", "front"}}), 1),
                 aged(policy("pay", "far", MtlsMode::kStrict, kWeb), 1),
                 aged(policy("istio-system", "late", MtlsMode::kDisable), 1)});

  auto steps = set.steps("shop", kWeb, 9090);

  REQUIRE(steps.size() == 4);
  CHECK(text_of(steps[0]) == "mesh STRICT by istio-system/m");
  CHECK(text_of(steps[1]) == "namespace UNSET");
  CHECK(text_of(steps[2]) == "workload UNSET by shop/web");
  CHECK(text_of(steps[3]) == "port DISABLE by shop/web");
  CHECK(text_of(set.steps("shop", kWeb, 80)[3]) == "port UNSET");
  REQUIRE(steps[0].ignored.size() == 1);
  CHECK(steps[0].ignored[0].why == "istio-system/m has no creationTimestamp, so counts as older");
  REQUIRE(steps[2].ignored.size() == 2);
  CHECK(steps[2].ignored[0].why == "shop/web is as old and comes first by name");
  CHECK(steps[2].ignored[1].policy->full_name() == "shop/young");
  CHECK(steps[2].ignored[1].why == "shop/web is older");
}

TEST_CASE("a client supposes by the policies of mesh and namespace alone") {
  PolicySet set("istio-system", {policy("istio-system", "m", MtlsMode::kStrict),
                                 policy("shop", "n", MtlsMode::kDisable),
                                 policy("pay", "w", MtlsMode::kDisable, {{"app", "web"}})});

  CHECK(set.suppose("shop").mode == MtlsMode::kDisable);
  CHECK(set.suppose("pay").mode == MtlsMode::kStrict);
}

}  // namespace
}  // namespace nodepilot::mesh
