#include "agent/mesh_stream.h"

#include <algorithm>
#include <utility>

#include "agent/mesh_rendering.h"

namespace nodepilot {

void MeshStream::on_update(UpdatePtr update) {
  update_ = std::move(update);
  proceed();
}

bool MeshStream::may_have(const mesh::Workload& workload) const {
  const auto& entries = update_->entries;
  return std::any_of(entries.begin(), entries.end(),
                     [&](const EntryPtr& entry) { return entry->spiffe_id == workload.identity; });
}

const mesh::Workload* MeshStream::workload() {
  if (ended() || !update_ || workload_.empty()) return nullptr;
  const mesh::Workload* workload = find_workload(keeper_.config(), workload_);
  // The same answer either way: who asks learns of no workload that is not its own.
  if (workload == nullptr || !may_have(*workload)) {
    end(Status(Code::kPermissionDenied,
               "node.id names no workload whose identity this process has"));
    return nullptr;
  }
  served(update_->entries.size());
  return workload;
}

}  // namespace nodepilot
