// A kubelet that answers what it is told to, and a rig around it on a clock that stands still.
#pragma once

#include <functional>
#include <vector>

#include "agent/base/clock.h"
#include "attest/kubernetes/pod_finder.h"
#include "test/kubernetes/pod_json.h"

namespace nodepilot::testing {

class FakeKubelet : public Kubelet {
 public:
  expected<std::unique_ptr<PodListText>> pods() override {
    ++asked;
    if (failure) return tl::unexpected<Error>(*failure);
    return std::make_unique<TextInPieces>(text, 4096);
  }
  void list(const std::vector<nlohmann::json>& pods) { text = list_json(pods).dump(); }

  std::string text = list_json({}).dump();
  std::optional<Error> failure;
  int asked = 0;
};

// Requests are answered at once, or, after hold(), when told to.
struct FinderRig {
  explicit FinderRig(PodFinder::Options options = {})
      : finder(lists, options, [this] { return clock.now(); }) {}

  void hold() { held = true; }
  void answer() {
    auto jobs = std::exchange(waiting, {});
    for (auto& job : jobs) job();
  }
  auto find(unsigned pod, char container, std::optional<std::uint64_t> process = {}) {
    return finder.find({pod_uid(pod), container_id(container)}, process);
  }

  FakeClock clock;
  FakeKubelet kubelet;
  bool held = false;
  std::vector<std::function<void()>> waiting;
  PodLists lists{kubelet, "node-1", [this] { return clock.now(); },
                 [this](std::function<void()> job) {
                   if (held) {
                     waiting.push_back(std::move(job));
                   } else {
                     job();
                   }
                 }};
  PodFinder finder;
};

}  // namespace nodepilot::testing
