#include "agent/mesh/policy_set.h"

#include <algorithm>
#include <tuple>

namespace nodepilot::mesh {
namespace {

// Ties by name, then namespace, so that the order of files and documents never matters.
bool is_older(const PeerAuthentication& a, const PeerAuthentication& b) {
  return std::tie(a.created, a.name, a.name_space) < std::tie(b.created, b.name, b.name_space);
}

bool selects(const Labels& selector, const Labels& labels) {
  return std::includes(labels.begin(), labels.end(), selector.begin(), selector.end());
}

void apply(const PeerAuthentication* policy, Verdict& verdict) {
  if (policy == nullptr || policy->mode == MtlsMode::kUnset) return;
  verdict = {policy->mode, policy, false};
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

const PeerAuthentication* PolicySet::winner(Scope scope, const std::string& name_space,
                                            const Labels& labels) const {
  auto reaches = [&](const PeerAuthentication& policy) {
    if (scope_of(policy) != scope) return false;
    bool is_near = scope == Scope::kMesh || policy.name_space == name_space;
    return is_near && selects(policy.selector, labels);
  };
  auto oldest = std::find_if(policies_.begin(), policies_.end(), reaches);
  return oldest == policies_.end() ? nullptr : &*oldest;
}

Verdict PolicySet::suppose(const std::string& name_space) const {
  Verdict verdict;
  apply(winner(Scope::kMesh, name_space, {}), verdict);
  apply(winner(Scope::kNamespace, name_space, {}), verdict);
  return verdict;
}

Verdict PolicySet::resolve(const std::string& name_space, const Labels& labels,
                           std::uint16_t port) const {
  Verdict verdict = suppose(name_space);
  const PeerAuthentication* own = winner(Scope::kWorkload, name_space, labels);
  apply(own, verdict);
  if (own == nullptr) return verdict;
  auto entry = own->ports.find(port);
  bool is_set = entry != own->ports.end() && entry->second != MtlsMode::kUnset;
  return is_set ? Verdict{entry->second, own, true} : verdict;
}

std::vector<IgnoredPolicy> PolicySet::ignored() const {
  std::vector<IgnoredPolicy> ignored;
  for (const PeerAuthentication& policy : policies_) {
    Scope scope = scope_of(policy);
    if (scope == Scope::kNone) {
      ignored.push_back({&policy, "a selector has no meaning in the root namespace"});
      continue;
    }
    // One that selects all that a later one does, and maybe more.
    auto covers = [&](const PeerAuthentication& older) {
      return scope_of(older) == scope && older.name_space == policy.name_space &&
             selects(older.selector, policy.selector);
    };
    auto first = std::find_if(policies_.begin(), policies_.end(), covers);
    if (&*first == &policy) continue;
    ignored.push_back({&policy, first->full_name() + " is older and covers it"});
  }
  return ignored;
}

}  // namespace nodepilot::mesh
