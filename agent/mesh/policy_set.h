// Resolves PeerAuthentication policies as istiod does (section 4.1 of the semantics in
// docs/mtls-policy.md): mesh, then namespace, then workload, then port; what is set in the narrower
// scope wins, UNSET inherits. Of several policies in one scope the oldest alone counts, whole.
// Pure. Thread: any (immutable).
#pragma once

#include <string>
#include <vector>

#include "agent/mesh/peer_authentication.h"

namespace nodepilot::mesh {

struct Verdict {
  MtlsMode mode = MtlsMode::kPermissive;           // never kUnset
  const PeerAuthentication* decided_by = nullptr;  // null: nothing is set anywhere
  bool by_port = false;                            // that policy's entry for the port decided
};

// A policy without effect, whatever the workload, and why.
struct IgnoredPolicy {
  const PeerAuthentication* policy;
  std::string why;
};

// What one scope has to say about a port of a workload.
struct Step {
  const char* scope;                           // "mesh", "namespace", "workload", "port"
  const PeerAuthentication* policy = nullptr;  // the one that counts; null: none reaches it
  MtlsMode mode = MtlsMode::kUnset;            // kUnset: it inherits
  std::vector<IgnoredPolicy> ignored{};        // reach the workload as well, but do not count
};

class PolicySet {
 public:
  PolicySet(std::string root_namespace, std::vector<PeerAuthentication> policies);

  // What a workload demands of who connects to `port`, the one that it listens on.
  // Points into this set.
  Verdict resolve(const std::string& name_space, const Labels& labels, std::uint16_t port) const;

  // How resolve() comes to it: every scope, the widest first. The last that sets a mode decides.
  std::vector<Step> steps(const std::string& name_space, const Labels& labels,
                          std::uint16_t port) const;

  // What a client supposes of the services of a namespace: the mesh's and the namespace's policies
  // alone, for a service may stand for several workloads.
  Verdict suppose(const std::string& name_space) const;

  std::vector<IgnoredPolicy> ignored() const;
  const std::vector<PeerAuthentication>& all() const { return policies_; }

 private:
  enum class Scope { kMesh, kNamespace, kWorkload, kNone };
  Scope scope_of(const PeerAuthentication& policy) const;
  // Of the policies in `scope` that reach such a workload the oldest counts.
  Step step(Scope scope, const char* name, const std::string& name_space,
            const Labels& labels) const;

  std::string root_namespace_;
  std::vector<PeerAuthentication> policies_;  // oldest first
};

}  // namespace nodepilot::mesh
