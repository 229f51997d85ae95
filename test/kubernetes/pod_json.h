// Pods as a kubelet lists them, and lists of them that arrive in pieces.
#pragma once

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "attest/kubernetes/kubelet.h"

namespace nodepilot::testing {

// 64 hex digits, all of them `digit`.
inline std::string container_id(char digit) { return std::string(64, digit); }
// "a0000000-0000-4000-8000-<12 digits>"
inline std::string pod_uid(unsigned number) {
  return fmt::format("a0000000-0000-4000-8000-{:012}", number);
}
inline std::string container_id_of(unsigned number) { return fmt::format("{:064x}", number); }

inline nlohmann::json status_of(const std::string& name, const std::string& id) {
  return {{"name", name},
          {"state", {{"running", {{"startedAt", "2026-11-27T10:00:00Z"}}}}},
          {"lastState", {{"terminated", {{"containerID", "containerd://" + container_id('9')}}}}},
          {"ready", true},
          {"restartCount", 0},
          {"image", "docker.io/library/" + name + ":1.2"},
          {"imageID", "docker.io/library/" + name + "@sha256:" + std::string(64, 'd')},
          {"containerID", id.empty() ? std::string() : "containerd://" + id},
          {"started", true}};
}

// A running pod of a Deployment with one container and one that initialised it.
inline nlohmann::json pod_json(unsigned number, const std::string& container,
                               const std::string& init_container = "") {
  return {{"metadata",
           {{"name", fmt::format("web-{}", number)},
            {"generateName", "web-"},
            {"namespace", "shop"},
            {"uid", pod_uid(number)},
            {"resourceVersion", "4711"},
            {"creationTimestamp", "2026-11-27T10:00:00Z"},
            {"labels", {{"app", "web"}, {"pod-template-hash", "abc"}}},
            {"annotations", {{"kubernetes.io/config.seen", "2026-11-27T10:00:00Z"}}},
            {"ownerReferences",
             {{{"apiVersion", "apps/v1"},
               {"kind", "ReplicaSet"},
               {"name", "web-abc"},
               {"uid", "e5"},
               {"controller", true}}}},
            {"managedFields", {{{"fieldsV1", {{"f:metadata", {{"f:uid", nullptr}}}}}}}}}},
          {"spec",
           {{"nodeName", "node-1"},
            {"serviceAccountName", "web"},
            {"containers", {{{"name", "web"}, {"image", "web:1.2"}, {"env", nullptr}}}}}},
          {"status",
           {{"phase", "Running"},
            {"podIP", "10.0.0.7"},
            {"initContainerStatuses", {status_of("init", init_container)}},
            {"containerStatuses", {status_of("web", container)}}}}};
}

inline nlohmann::json list_json(const std::vector<nlohmann::json>& pods) {
  return {{"kind", "PodList"},
          {"apiVersion", "v1"},
          {"metadata", nlohmann::json::object()},
          {"items", pods}};
}

// A text in pieces of `piece_bytes`, or one that breaks off with `failure`.
class TextInPieces : public PodListText {
 public:
  explicit TextInPieces(std::string text, std::size_t piece_bytes = 7,
                        std::optional<Error> failure = {})
      : text_(std::move(text)), piece_bytes_(piece_bytes), failure_(std::move(failure)) {}

  expected<std::string_view> read() override {
    auto piece = std::string_view(text_).substr(at_, piece_bytes_);
    at_ += piece.size();
    if (piece.empty() && failure_) return tl::unexpected<Error>(*failure_);
    return piece;
  }

 private:
  const std::string text_;
  const std::size_t piece_bytes_;
  const std::optional<Error> failure_;
  std::size_t at_ = 0;
};

}  // namespace nodepilot::testing
