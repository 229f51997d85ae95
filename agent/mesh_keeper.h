// Keeps what the Envoys of this node's workloads shall have: reads the policy anew every two
// seconds, on a worker, and renders it. A policy that is wrong leaves the last good one in force
// and is logged; before there was a good one nothing is served, and Envoys wait.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>

#include "agent/base/clock.h"
#include "agent/base/workers.h"
#include "agent/config/config.h"
#include "agent/mesh/discovery_session.h"

namespace nodepilot {

struct WorkloadResources {
  mesh::ResourceSetPtr listeners;
  mesh::ResourceSetPtr clusters;
};
using MeshResources = std::map<std::string, WorkloadResources>;  // by the workload's name

// Reads and renders the policy for every workload of config.mesh. Every mistake in the error.
// Thread: any; blocks on the disk.
expected<MeshResources> render_mesh(const Config& config);

// Thread: loop.
class MeshKeeper {
 public:
  // All outlive it; config.mesh is given. A file system that hangs may keep `workers` busy for
  // ever.
  MeshKeeper(Clock& clock, Workers& workers, const Config& config,
             Duration interval = std::chrono::seconds(2));
  MeshKeeper(const MeshKeeper&) = delete;
  MeshKeeper& operator=(const MeshKeeper&) = delete;
  ~MeshKeeper();

  void start() { read(); }

  // Null before there was a good policy.
  const WorkloadResources* find(const std::string& workload) const;
  const Config& config() const { return config_; }
  // Why the last reading is not in force; empty if it is.
  const std::string& failure() const { return failure_; }
  // An Envoy has rejected what it was sent (NACK).
  void note_rejection() { ++rejections_; }
  std::uint64_t rejections() const { return rejections_; }
  // `listener` runs after each change until the handle is destroyed; it must not begin or end
  // others.
  std::shared_ptr<void> on_change(std::function<void()> listener);

 private:
  void read();
  void take(expected<MeshResources> rendered);

  Clock& clock_;
  Workers& workers_;
  const Config& config_;
  const Duration interval_;
  MeshResources resources_;
  std::string failure_;
  std::uint64_t rejections_ = 0;
  std::list<std::weak_ptr<std::function<void()>>> listeners_;
  Alarm next_look_;
  std::shared_ptr<MeshKeeper*> self_;  // a reading may come back after our end
};

}  // namespace nodepilot
