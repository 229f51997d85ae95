// What this room asks of the node's kubelet. How it is reached is somebody else's business.
#pragma once

#include <memory>
#include <string_view>

#include "agent/base/result.h"

namespace nodepilot {

// The text of a list of pods as it arrives. Thread: worker, one at a time.
class PodListText {
 public:
  PodListText() = default;
  PodListText(const PodListText&) = delete;
  PodListText& operator=(const PodListText&) = delete;
  virtual ~PodListText() = default;

  // The next piece, valid until the next call; empty at the end. Blocks at most until the deadline
  // of the request. After an error there is nothing more to read.
  virtual expected<std::string_view> read() = 0;
};

// Thread: worker, one request at a time.
class Kubelet {
 public:
  Kubelet() = default;
  Kubelet(const Kubelet&) = delete;
  Kubelet& operator=(const Kubelet&) = delete;
  virtual ~Kubelet() = default;

  // The answer to GET /pods, an object of kind PodList. Blocks at most for its own deadline.
  virtual expected<std::unique_ptr<PodListText>> pods() = 0;
};

}  // namespace nodepilot
