// The selectors of a pod and of a container, spelled as SPIRE spells them, without "k8s:":
//   ns:NAMESPACE sa:SERVICE_ACCOUNT node-name:NODE pod-name:NAME pod-uid:UID pod-label:KEY:VALUE
//   pod-owner:KIND:NAME pod-owner-uid:KIND:UID pod-image:IMAGE pod-init-image:IMAGE
//   pod-image-count:N pod-init-image-count:N container-name:NAME container-image:IMAGE
// Every image stands twice: as it was asked for, and with its digest.
// Thread: any.
#pragma once

#include <string>

#include "attest/kubernetes/pod.h"

namespace nodepilot {

// One a line. What is empty or holds a control character is left out: no entry could name it.
std::string pod_selector_lines(const Pod& pod);
std::string container_selector_lines(const PodContainer& container);

}  // namespace nodepilot
