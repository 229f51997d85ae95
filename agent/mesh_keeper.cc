#include "agent/mesh_keeper.h"

#include <utility>

#include "agent/base/log.h"
#include "agent/base/sha256.h"
#include "agent/config/mesh_manifests.h"
#include "agent/mesh_rendering.h"

namespace nodepilot {
namespace {

template <class Message>
mesh::ResourceSetPtr pack_all(const std::vector<Message>& messages) {
  auto set = std::make_shared<mesh::ResourceSet>();
  std::string bytes;
  for (const Message& message : messages) {
    set->resources.push_back(mesh::pack(message));
    bytes += set->resources.back().value();
  }
  set->version = sha256_hex(bytes);
  return set;
}

bool same(const MeshResources& a, const MeshResources& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && x.second.listeners->version == y.second.listeners->version &&
           x.second.clusters->version == y.second.clusters->version;
  });
}

Error joined(const ConfigErrors& errors) {
  Error all{Code::kInvalidArgument, ""};
  for (const ConfigError& error : errors) {
    all.message += (all.message.empty() ? "" : "; ") + error.str();
  }
  return all;
}

}  // namespace

expected<MeshResources> render_mesh(const Config& config) {
  auto policy = load_policy(config.mesh->policy, config.mesh->root_namespace);
  if (!policy) return tl::unexpected(joined(policy.error()));
  MeshResources out;
  for (const mesh::Workload& workload : config.mesh->workloads) {
    auto rendered =
        mesh::render(mesh_surroundings(config), *policy, config.mesh->root_namespace, workload);
    if (!rendered) return fail_with("workload " + workload.name, rendered.error());
    out[workload.name] = {pack_all(rendered->listeners), pack_all(rendered->clusters)};
  }
  return out;
}

MeshKeeper::MeshKeeper(Clock& clock, Workers& workers, const Config& config, Duration interval)
    : clock_(clock),
      workers_(workers),
      config_(config),
      interval_(interval),
      next_look_(clock, [this] { read(); }),
      self_(std::make_shared<MeshKeeper*>(this)) {}

MeshKeeper::~MeshKeeper() = default;

const WorkloadResources* MeshKeeper::find(const std::string& workload) const {
  auto found = resources_.find(workload);
  return found == resources_.end() ? nullptr : &found->second;
}

std::shared_ptr<void> MeshKeeper::on_change(std::function<void()> listener) {
  auto kept = std::make_shared<std::function<void()>>(std::move(listener));
  std::erase_if(listeners_, [](const auto& weak) { return weak.expired(); });
  listeners_.push_back(kept);
  return kept;
}

void MeshKeeper::read() {
  // The configuration outlives the workers, for it is the agent's caller that owns it.
  workers_.run([&config = config_] { return render_mesh(config); },
               [weak = std::weak_ptr(self_)](expected<MeshResources> rendered) {
                 if (auto self = weak.lock()) (*self)->take(std::move(rendered));
               });
}

void MeshKeeper::take(expected<MeshResources> rendered) {
  next_look_.set(clock_.now() + interval_);
  if (!rendered) {
    const std::string& why = rendered.error().message;
    if (std::exchange(failure_, why) != why) {
      log::error("mesh policy unusable", {{"kept", !resources_.empty()}, {"error", why}});
    }
    return;
  }
  bool was_bad = !std::exchange(failure_, "").empty();
  bool is_new = !same(resources_, *rendered);
  if (was_bad || is_new) log::info("mesh policy in force", {{"changed", is_new}});
  if (!is_new) return;
  resources_ = *std::move(rendered);
  auto listeners = listeners_;
  for (const auto& weak : listeners) {
    if (auto listener = weak.lock()) (*listener)();
  }
}

}  // namespace nodepilot
