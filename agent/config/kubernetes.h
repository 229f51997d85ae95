// `attestors.kubernetes` in the configuration.
// Thread: any.
#pragma once

#include "agent/config/kubernetes_options.h"
#include "agent/config/yaml_decoder.h"

namespace nodepilot {

// Notes what is wrong. Takes the node's name out of the environment if it is to be found there.
KubernetesOptions decode_kubernetes(const YamlValue& value);

}  // namespace nodepilot
