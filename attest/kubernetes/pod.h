// What selectors need to know of a pod, in the kubelet's words. A value.
// Thread: any.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace nodepilot {

struct PodOwner {
  std::string kind;
  std::string name;
  std::string uid;
};

// The status of a container.
struct PodContainer {
  std::string name;
  std::string image;     // "docker.io/library/nginx:1.25"
  std::string image_id;  // "docker.io/library/nginx@sha256:..."
  std::string id;        // 64 hex digits; empty: it has not been started
};

struct Pod {
  std::string uid;
  // Of a static pod: the UID that its cgroup has, if the API server gave it another one.
  std::string config_hash;
  std::string name;
  std::string name_space;
  std::string service_account;
  std::string node_name;
  std::map<std::string, std::string> labels;
  std::vector<PodOwner> owners;
  std::vector<PodContainer> containers;
  std::vector<PodContainer> init_containers;
  std::vector<PodContainer> ephemeral_containers;
};

}  // namespace nodepilot
