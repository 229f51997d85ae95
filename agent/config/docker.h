// `attestors.docker` in the configuration.
// Thread: any.
#pragma once

#include "agent/config/yaml_decoder.h"
#include "attest/docker/docker_attestor.h"

namespace nodepilot {

// Notes what is wrong.
DockerAttestor::Options decode_docker(const YamlValue& value);

}  // namespace nodepilot
