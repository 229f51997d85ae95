// Reads a list of pods while it arrives. At no time more of it is held than one pod and what
// attestation needs of the others.
#pragma once

#include <string>

#include "attest/kubernetes/kubelet.h"
#include "attest/kubernetes/pod_index.h"

namespace nodepilot {

struct PodListLimits {
  std::size_t max_bytes = std::size_t{64} * 1024 * 1024;
  std::size_t max_pods = 20'000;
  // A pod has at most 1.5 MiB where Kubernetes keeps it, and JSON may take six bytes for one.
  std::size_t max_token_bytes = std::size_t{12} * 1024 * 1024;
  std::size_t max_depth = 64;
  std::size_t max_facts_of_pod = 10'000;
};

struct PodList {
  PodIndex index;
  std::size_t ended = 0;       // pods left out because they have
  std::size_t unreadable = 0;  // pods left out because of what they hold, ...
  std::string why;             // ... of which the first
};

// With `node_name`, every pod must run on that node. What is wrong with one pod leaves out that
// pod; anything else makes the whole list worthless: kDataLoss says why, or it is the error of
// `text`. Thread: worker.
expected<PodList> parse_pod_list(PodListText& text, const std::string& node_name,
                                 const PodListLimits& limits = {});

}  // namespace nodepilot
