// The `docker` attestor: SPIRE's selectors from the Docker API, or Podman's compatible one.
//   label:K:V env:K=V image_id:NAME image_config_digest:sha256:HEX
#pragma once

#include <filesystem>
#include <set>
#include <string>

#include "agent/base/time.h"
#include "attest/attestor.h"
#include "attest/cgroup_root.h"
#include "attest/container.h"

namespace nodepilot {

class DockerAttestor : public Attestor {
 public:
  struct Options {
    std::filesystem::path socket = "/run/docker.sock";
    std::filesystem::path podman_socket = "/run/podman/podman.sock";
    // "/run/user/{uid}/podman/podman.sock", for the containers of these users alone; those of
    // others count for nothing. Who is listed can give his containers every label there is.
    std::string podman_socket_template{};
    std::set<uid_t> podman_users{};
    // Of one answer, all tries and pauses together.
    Duration timeout = std::chrono::seconds(2);
  };
  explicit DockerAttestor(Options options, CgroupRoot root = {})
      : options_(std::move(options)), root_(std::move(root)) {}

  const char* name() const override { return "docker"; }

  // A process outside of containers, or in one of containerd or CRI-O, has no selectors, and no
  // engine is asked. A container that is in doubt is an error.
  expected<Selectors> attest(const Peer& peer) const override;

  // The selectors of one container. Asks again after 100, 200 and 400 ms: an engine tells of a
  // container a little after it has started.
  expected<Selectors> selectors_of(const ContainerLocation& container) const;

 private:
  const Options options_;
  const CgroupRoot root_;
};

}  // namespace nodepilot
