// From the JSON of a pod to what selectors need of it. For this room only.
// Thread: any.
#pragma once

#include "agent/base/result.h"
#include "attest/kubernetes/json_shape.h"
#include "attest/kubernetes/pod.h"

namespace nodepilot {

// What is read of a list of pods, and of each pod in it.
extern const Shape kPodListShape;
extern const Shape kPodShape;

// Whether all of its containers have ended for good: none of them can be a caller.
bool has_ended(const nlohmann::json& pod);

// `pod` has the shape kPodShape. kInvalidArgument says what about it is missing, of the wrong type
// or too long to be a fact.
expected<Pod> decode_pod(const nlohmann::json& pod);

}  // namespace nodepilot
