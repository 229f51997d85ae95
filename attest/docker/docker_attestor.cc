#include "attest/docker/docker_attestor.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <thread>

#include "attest/docker/container_details.h"
#include "attest/docker/engine_socket.h"

namespace nodepilot {
namespace {

using SteadyClock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr uid_t kRoot = 0;
constexpr std::array kPauses = {milliseconds(100), milliseconds(200), milliseconds(400)};
constexpr std::string_view kUid = "{uid}";

std::string with_uid(std::string path, uid_t uid) {
  if (auto at = path.find(kUid); at != std::string::npos) {
    path.replace(at, kUid.size(), std::to_string(uid));
  }
  return path;
}

// Who can tell about `container`; empty if nobody is to be asked.
std::optional<EngineSocket> engine_of(const ContainerLocation& container,
                                      const DockerAttestor::Options& options) {
  if (auto user = container.rootless_uid) {
    if (options.podman_users.count(*user) == 0) return std::nullopt;
    return EngineSocket(with_uid(options.podman_socket_template, *user), *user);
  }
  switch (container.runtime) {
    case ContainerRuntime::kContainerd:
    case ContainerRuntime::kCrio:
      return std::nullopt;
    case ContainerRuntime::kPodman:
      return EngineSocket(options.podman_socket, kRoot);
    case ContainerRuntime::kDocker:
    case ContainerRuntime::kUnknown:
      break;
  }
  return EngineSocket(options.socket, kRoot);
}

}  // namespace

expected<Selectors> DockerAttestor::attest(const Peer& peer) const {
  auto container = TRY(locate_container(peer.facts().cgroup, root_));
  if (!container) return Selectors();
  return selectors_of(*container);
}

expected<Selectors> DockerAttestor::selectors_of(const ContainerLocation& container) const {
  auto engine = engine_of(container, options_);
  if (!engine) return Selectors();
  auto deadline = SteadyClock::now() + options_.timeout;
  auto left = [&] {
    return std::max(std::chrono::ceil<Duration>(deadline - SteadyClock::now()), Duration(1));
  };
  auto answer = engine->inspect(container.container_id, left());
  for (auto pause : kPauses) {
    if (answer || answer.error().code == Code::kPermissionDenied) break;
    if (SteadyClock::now() + pause >= deadline) break;
    std::this_thread::sleep_for(pause);
    answer = engine->inspect(container.container_id, left());
  }
  auto text = TRY(std::move(answer));
  return docker_selectors(text, container.container_id);
}

}  // namespace nodepilot
