#include "attest/kubernetes/pod_selectors.h"

#include <algorithm>
#include <string_view>

namespace nodepilot {
namespace {

bool is_control(unsigned char c) { return c < 0x20 || c == 0x7f; }

class Lines {
 public:
  void add(std::string_view kind, std::string_view value) {
    if (value.empty() || std::any_of(value.begin(), value.end(), is_control)) return;
    text_.append(kind).append(":").append(value).append("\n");
  }
  // KIND:KEY:VALUE. An empty value is one, too; an empty key is none.
  void add(std::string_view kind, const std::string& key, const std::string& value) {
    if (!key.empty()) add(kind, key + ":" + value);
  }
  void add_images(std::string_view kind, const PodContainer& container) {
    add(kind, container.image);
    add(kind, container.image_id);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

}  // namespace

std::string pod_selector_lines(const Pod& pod) {
  Lines lines;
  lines.add("ns", pod.name_space);
  lines.add("sa", pod.service_account);
  lines.add("node-name", pod.node_name);
  lines.add("pod-name", pod.name);
  lines.add("pod-uid", pod.uid);
  for (const auto& [key, value] : pod.labels) lines.add("pod-label", key, value);
  for (const PodOwner& owner : pod.owners) {
    lines.add("pod-owner", owner.kind, owner.name);
    lines.add("pod-owner-uid", owner.kind, owner.uid);
  }
  for (const PodContainer& one : pod.containers) lines.add_images("pod-image", one);
  for (const PodContainer& one : pod.init_containers) lines.add_images("pod-init-image", one);
  lines.add("pod-image-count", std::to_string(pod.containers.size()));
  lines.add("pod-init-image-count", std::to_string(pod.init_containers.size()));
  return lines.take();
}

std::string container_selector_lines(const PodContainer& container) {
  Lines lines;
  lines.add("container-name", container.name);
  lines.add_images("container-image", container);
  return lines.take();
}

}  // namespace nodepilot
