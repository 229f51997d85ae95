// A stream of an Envoy that speaks for one workload of this node. It names the workload as its
// node's id in its first message, and may speak for it only if its process is entitled to the
// workload's identity.
#pragma once

#include <string>

#include "agent/mesh_keeper.h"
#include "proto/envoy/core.pb.h"
#include "sds/caller_stream.h"

namespace nodepilot {

// Thread: loop.
class MeshStream : public CallerStream {
 public:
  static constexpr std::size_t kMaxShown = 256;  // bytes of what a client says, in the log

  // `method` is for log lines; `keeper` outlives the stream.
  MeshStream(const ApiContext& context, const char* method, MeshKeeper& keeper, Call& call)
      : CallerStream(context, call, method, Interest::kBundles), keeper_(keeper) {}

  void start() { identify(); }

 protected:
  // Something was said or has changed.
  virtual void proceed() = 0;

  void set_node(const envoy::config::core::v3::Node& node) {
    workload_ = node.id().substr(0, kMaxShown);
  }
  // As the client calls it; empty before set_node().
  const std::string& workload_name() const { return workload_; }
  // Null as long as it is not known who calls or for what. Who may not speak for it is told so,
  // which ends the call.
  const mesh::Workload* workload();

  MeshKeeper& keeper() { return keeper_; }

 private:
  void on_update(UpdatePtr update) override;
  bool may_have(const mesh::Workload& workload) const;

  MeshKeeper& keeper_;
  UpdatePtr update_;
  std::string workload_;
};

}  // namespace nodepilot
