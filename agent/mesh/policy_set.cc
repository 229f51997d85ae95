#include "agent/mesh/policy_set.h"

#include <algorithm>
#include <tuple>

namespace nodepilot::mesh {
namespace {

constexpr std::string_view kPort = "port";
constexpr const char* kNoMeaning = "a selector has no meaning in the root namespace";

// Ties by name, then namespace, so that the order of files and documents never matters.
bool is_older(const PeerAuthentication& a, const PeerAuthentication& b) {
  return std::tie(a.created, a.name, a.name_space) < std::tie(b.created, b.name, b.name_space);
}

bool selects(const Labels& selector, const Labels& labels) {
  return std::includes(labels.begin(), labels.end(), selector.begin(), selector.end());
}

std::string why_older(const PeerAuthentication& older, const PeerAuthentication& other) {
  std::string name = older.full_name();
  if (older.created == other.created) return name + " is as old and comes first by name";
  return name + (older.created ? " is older" : " has no creationTimestamp, so counts as older");
}

Verdict last_set(const std::vector<Step>& steps) {
  Verdict verdict;
  for (const Step& step : steps) {
    if (step.mode != MtlsMode::kUnset) verdict = {step.mode, step.policy, step.scope == kPort};
  }
  return verdict;
}

}  // namespace

PolicySet::PolicySet(std::string root_namespace, std::vector<PeerAuthentication> policies)
    : root_namespace_(std::move(root_namespace)), policies_(std::move(policies)) {
  std::sort(policies_.begin(), policies_.end(), is_older);
}

PolicySet::Scope PolicySet::scope_of(const PeerAuthentication& policy) const {
  bool is_root = policy.name_space == root_namespace_;
  if (policy.selector.empty()) return is_root ? Scope::kMesh : Scope::kNamespace;
  return is_root ? Scope::kNone : Scope::kWorkload;
}

Step PolicySet::step(Scope scope, const char* name, const std::string& name_space,
                     const Labels& labels) const {
  Step step{.scope = name};
  for (const PeerAuthentication& policy : policies_) {
    bool is_near = scope == Scope::kMesh || policy.name_space == name_space;
    if (scope_of(policy) != scope || !is_near || !selects(policy.selector, labels)) continue;
    if (step.policy != nullptr) {
      step.ignored.push_back({&policy, why_older(*step.policy, policy)});
      continue;
    }
    step.policy = &policy;
    step.mode = policy.mode;
  }
  return step;
}

Verdict PolicySet::suppose(const std::string& name_space) const {
  return last_set({step(Scope::kMesh, "mesh", name_space, {}),
                   step(Scope::kNamespace, "namespace", name_space, {})});
}

std::vector<Step> PolicySet::steps(const std::string& name_space, const Labels& labels,
                                   std::uint16_t port) const {
  std::vector<Step> steps = {step(Scope::kMesh, "mesh", name_space, labels),
                             step(Scope::kNamespace, "namespace", name_space, labels),
                             step(Scope::kWorkload, "workload", name_space, labels)};
  Step own{.scope = kPort.data()};
  if (const PeerAuthentication* policy = steps.back().policy) {
    auto entry = policy->ports.find(port);
    if (entry != policy->ports.end()) own = {kPort.data(), policy, entry->second};
  }
  steps.push_back(own);
  return steps;
}

Verdict PolicySet::resolve(const std::string& name_space, const Labels& labels,
                           std::uint16_t port) const {
  return last_set(steps(name_space, labels, port));
}

std::vector<IgnoredPolicy> PolicySet::ignored() const {
  std::vector<IgnoredPolicy> ignored;
  for (const PeerAuthentication& policy : policies_) {
    Scope scope = scope_of(policy);
    if (scope == Scope::kNone) {
      ignored.push_back({&policy, kNoMeaning});
      continue;
    }
    // One that selects all that a later one does, and maybe more.
    auto covers = [&](const PeerAuthentication& older) {
      return scope_of(older) == scope && older.name_space == policy.name_space &&
             selects(older.selector, policy.selector);
    };
    auto first = std::find_if(policies_.begin(), policies_.end(), covers);
    if (&*first == &policy) continue;
    ignored.push_back({&policy, why_older(*first, policy) + ", and covers it"});
  }
  return ignored;
}

}  // namespace nodepilot::mesh
